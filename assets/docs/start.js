// Starts Swagger UI on the document beside the page. Nothing here or in its options leads to another host.
"use strict";

// The document says that its paths begin at the host's root. Behind a proxy that serves Scoria below a path they don't.
const root = new URL(document.currentScript.dataset.root, document.baseURI).href.replace(/\/$/, "");

const underThePagesRoot = () => ({
    statePlugins: {
        spec: {
            wrapActions: {
                updateJsonSpec: (update) => (specification) => {
                    document.title = specification.info.title;
                    return update({ ...specification, servers: [{ url: root }] });
                },
            },
        },
    },
});

SwaggerUIBundle({
    url: "openapi.json",
    dom_id: "#page",
    plugins: [underThePagesRoot],
    deepLinking: true,
    // A badge from a validator of the maker's, to which the document would be sent.
    validatorUrl: "none",
    // A key is forgotten with the page.
    persistAuthorization: false,
});
