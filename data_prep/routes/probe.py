"""The surface probe: how far right routes can be told from wrong ones without following what they say.

Serves design.md, section MRPV. A logistic regression looks at one route at a time, at its length, number of steps,
source and words (how often each stands there, in no order), never at the question. It is judged on questions that
it was not fitted on. What it finds, a model could use in place of judging; `check.surface` measures the single cues.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from reward_fns.routes import Route

WORD_FEATURES = 2**14
FOLDS = 5
MIN_QUESTIONS = 20
"""Fewer questions with both kinds in the data than this say nothing."""


@dataclass(frozen=True)
class Probed:
    """Cross-validated informedness (share of right routes called right, plus of wrong ones called wrong, minus 1).

    `form` is that of length, number of steps and source alone, `words` that of the words alone, `all` of everything.
    `error` is about one standard error of `all`, by the folds. 0 is not told apart, 1 told apart each time.
    """

    form: float
    words: float
    all: float
    error: float
    routes: int
    questions: int


def probe(uids: Sequence[str], routes: Sequence[Route], seed: int = 0) -> Probed | None:
    """Fit and judge the probe; None where there are too few questions, or routes of one kind only.

    Args:
        uids: the question of each route; a question is never in two folds.
        routes: undisputed ones.
        seed: of the folds.
    """
    import numpy as np
    from scipy.sparse import csr_matrix, hstack

    labels = np.array([route.label for route in routes])
    n_questions = len(set(uids))
    if n_questions < MIN_QUESTIONS or len(set(labels.tolist())) < 2:
        return None
    form, words = csr_matrix(_form(routes)), _words(routes)
    results = {
        name: _informedness(features, labels, uids, seed)
        for name, features in (("form", form), ("words", words), ("all", hstack([form, words]).tocsr()))
    }
    everything = results["all"]
    return Probed(
        form=float(np.mean(results["form"])),
        words=float(np.mean(results["words"])),
        all=float(np.mean(everything)),
        error=float(np.std(everything, ddof=1) / math.sqrt(len(everything))),
        routes=len(routes),
        questions=n_questions,
    )


def _form(routes: Sequence[Route]) -> Any:
    """Dense features: logarithms of length, steps and mean step, their squares, and the sources."""
    import numpy as np

    chars = np.array([max(1, sum(map(len, route.steps))) for route in routes], float)
    steps = np.array([max(1, len(route.steps)) for route in routes], float)
    numbers = np.log(np.stack([chars, steps, chars / steps], axis=1))
    numbers = (numbers - numbers.mean(axis=0)) / np.maximum(numbers.std(axis=0), 1e-9)
    sources = sorted({route.source for route in routes})
    one_hot = np.array([[route.source == source for source in sources] for route in routes], float)
    return np.hstack([numbers, numbers**2, one_hot])


def _words(routes: Sequence[Route]) -> Any:
    from sklearn.feature_extraction.text import HashingVectorizer

    vectorizer = HashingVectorizer(
        n_features=WORD_FEATURES,
        token_pattern=r"[^\W\d_]+|\d+|[^\w\s]",
        alternate_sign=False,
    )
    return vectorizer.transform(["\n".join(route.steps) for route in routes])


def _informedness(features: Any, labels: Any, uids: Sequence[str], seed: int) -> list[float]:
    """Of each fold, by a model that was fitted on the other ones."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import StratifiedGroupKFold

    folds = StratifiedGroupKFold(FOLDS, shuffle=True, random_state=seed)
    found = []
    for fitted, held_out in folds.split(features, labels, groups=uids):
        kinds = labels[held_out]
        if kinds.all() or not kinds.any() or len(set(labels[fitted].tolist())) < 2:
            continue
        model = LogisticRegression(class_weight="balanced", solver="liblinear", random_state=0)
        model.fit(features[fitted], labels[fitted])
        says_right = model.predict(features[held_out])
        found.append(float(says_right[kinds].mean() - says_right[~kinds].mean()))
    return found or [0.0, 0.0]
