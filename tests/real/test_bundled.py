"""The bundled models are as good over HTTP as models/README.md says, on rows of their own data sets."""

import json

import numpy as np
import pytest
from sklearn.datasets import load_diabetes, load_digits, load_wine
from sklearn.metrics import r2_score

import wire


def score(server, name, rows, media_type):
    """The answers to all rows, sent a hundred at a time: the outputs by name."""
    client, answers = wire.Client(server), []
    for start in range(0, len(rows), 100):
        part = rows[start : start + 100]
        body = json.dumps({"data": part.tolist()}) if media_type == wire.JSON else wire.to_npy(part)
        status, headers, answer = client.post(name, body, media_type)
        assert status == 200, answer[:300]
        if headers["content-type"] == wire.JSON:
            answer = json.loads(answer)
            answers.append(answer if isinstance(answer, dict) else {"": answer})
        else:
            answers.append(
                wire.from_npz(answer) if headers["content-type"] == wire.NPZ else {"": wire.from_npy(answer)}
            )
    return {key: np.concatenate([np.asarray(answer[key]) for answer in answers]) for key in answers[0]}


@pytest.fixture(params=["ort", "tract"])
def engine(request):
    return request.param


@pytest.fixture(params=[wire.JSON, wire.NPY])
def media_type(request):
    return request.param


def test_diabetes(serve, models, engine, media_type):
    x, y = load_diabetes(return_X_y=True, scaled=False)
    with serve(models / "ridge", engine=engine) as server:
        progression = score(server, "ridge", x.astype(np.float32), media_type)[""]
    assert progression.shape == (442, 1)
    # 0.41 on patients held out; most of these were not.
    assert 0.41 < r2_score(y, progression[:, 0]) < 0.6


def test_digits(serve, models, engine, media_type):
    images, labels = load_digits(return_X_y=True)
    images = enlarged(images.reshape(-1, 8, 8) / 16).astype(np.float32)[:, None]
    with serve(models / "digits", engine=engine) as server:
        scores = score(server, "digits", images, media_type)[""]
    assert scores.shape == (1797, 10)
    assert np.mean(scores.argmax(axis=1) == labels) > 0.986


def enlarged(images):
    """28x28 pixels, by bilinear interpolation between the centres of 8x8."""
    places = np.clip((np.arange(28) + 0.5) * 8 / 28 - 0.5, 0, 7)
    low = np.minimum(places.astype(int), 6)
    weights = np.zeros((28, 8))
    weights[np.arange(28), low] = 1 - (places - low)
    weights[np.arange(28), low + 1] = places - low
    return weights @ images @ weights.T


def test_wine(serve, models, media_type):
    data = load_wine()
    with serve(models / "wine") as server:
        outputs = score(server, "wine", data.data.astype(np.float32), media_type)
    assert list(outputs) == ["label", "probabilities"]
    assert np.mean(outputs["label"] == data.target_names[data.target]) > 0.981
    assert np.allclose(outputs["probabilities"].sum(axis=1), 1, atol=1e-5)
