// Scores with a client whose types were generated from the server's document (`schema.d.ts`, beside this file when it is
// compiled). What the server is, and what it is to be asked, comes as JSON on standard input; the answers go out the same way.
import { text } from "node:stream/consumers";

import createClient from "openapi-fetch";

import type { components, paths } from "./schema.js";

type Schemas = components["schemas"];

interface Given {
    base: string;
    keys: { ridge: string; wine: string; "text-encoder": string };
    samples: {
        ridge: Schemas["ServiceInput_ridge"];
        wine: Schemas["ServiceInput_wine"];
        "text-encoder": Schemas["NamedInputs_text-encoder"];
    };
}

const { base, keys, samples }: Given = JSON.parse(await text(process.stdin));

const client = (key: string) => createClient<paths>({ baseUrl: base, headers: { Authorization: `Bearer ${key}` } });
const ridge = client(keys.ridge);

/** What was answered, which is not an error. */
function found<T>({ data, error, response }: { data?: T; error?: Schemas["ErrorResponse"]; response: Response }): T {
    if (data === undefined) {
        throw new Error(`${response.status}: ${error?.error.code} ${error?.message}`);
    }
    return data;
}

const answers = {
    ridge: found(await ridge.POST("/api/v1/service/ridge/score", { body: samples.ridge })),
    wine: found(await client(keys.wine).POST("/api/v1/service/wine/score", { body: samples.wine })),
    "text-encoder": found(
        await client(keys["text-encoder"]).POST("/api/v1/service/text-encoder/score", {
            body: samples["text-encoder"],
            params: { header: { "x-scoria-timeout-ms": 30_000 } },
        }),
    ),
};

// @ts-expect-error: texts are no numbers, and the types know it.
const refused = await ridge.POST("/api/v1/service/ridge/score", { body: { data: [["text"]] } });
const unknown = await client("scoria_wrong").POST("/api/v1/service/ridge/score", { body: samples.ridge });
const refusals = [refused, unknown].map(({ error, response }) => ({
    status: response.status,
    code: error?.error.code,
    path: error?.error.path,
}));

console.log(JSON.stringify({ answers, refusals }));
