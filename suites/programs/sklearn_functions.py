"""scikit-learn's functions and estimators that take `n_jobs`: on the backend, and alone for what is expected."""

import joblib
import numpy as np
from _cases import case, elsewhere, end
from sklearn import (
    cluster,
    compose,
    datasets,
    decomposition,
    ensemble,
    feature_selection,
    inspection,
    linear_model,
    metrics,
    model_selection,
    multiclass,
    multioutput,
    neighbors,
    pipeline,
    preprocessing,
    svm,
)
from sklearn.experimental import enable_halving_search_cv  # noqa: F401
from sklearn.utils.parallel import Parallel, delayed

X, Y = datasets.load_iris(return_X_y=True)
XR, YR = datasets.make_regression(100, 5, random_state=0)
SVC = svm.SVC
GRID = {"C": [0.1, 1, 10]}
PAIR = [("a", SVC()), ("b", linear_model.LogisticRegression())]
SCALERS = [("a", preprocessing.StandardScaler()), ("b", preprocessing.StandardScaler())]


def score(estimator, target=Y):
    return estimator.fit(X, target).score(X, target)


ms = model_selection
CASES = {
    "cross_val_score": lambda: ms.cross_val_score(SVC(), X, Y, cv=3),
    "cross_validate": lambda: ms.cross_validate(SVC(), X, Y, cv=3)["test_score"],
    "cross_val_predict": lambda: ms.cross_val_predict(SVC(), X, Y, cv=3),
    "GridSearchCV": lambda: ms.GridSearchCV(SVC(), GRID, cv=3).fit(X, Y).best_score_,
    "RandomizedSearchCV": lambda: (
        ms.RandomizedSearchCV(SVC(), GRID, n_iter=2, random_state=0, cv=3).fit(X, Y).best_score_
    ),
    "HalvingGridSearchCV": lambda: ms.HalvingGridSearchCV(SVC(), GRID, cv=3, random_state=0).fit(X, Y).best_score_,
    "learning_curve": lambda: ms.learning_curve(SVC(), X, Y, cv=3, shuffle=True, random_state=0)[2],
    "validation_curve": lambda: ms.validation_curve(SVC(), X, Y, param_name="C", param_range=[1, 10], cv=3)[1],
    "permutation_test_score": lambda: ms.permutation_test_score(SVC(), X, Y, n_permutations=5, random_state=0)[0],
    "RandomForestClassifier": lambda: score(ensemble.RandomForestClassifier(20, random_state=0)),
    "ExtraTreesClassifier": lambda: score(ensemble.ExtraTreesClassifier(20, random_state=0)),
    "BaggingClassifier": lambda: score(ensemble.BaggingClassifier(SVC(), random_state=0)),
    "VotingClassifier": lambda: score(ensemble.VotingClassifier(PAIR)),
    "StackingClassifier": lambda: score(ensemble.StackingClassifier(PAIR)),
    "OneVsRestClassifier": lambda: score(multiclass.OneVsRestClassifier(SVC())),
    "MultiOutputClassifier": lambda: score(multioutput.MultiOutputClassifier(SVC()), np.c_[Y, Y]),
    "LogisticRegressionCV": lambda: score(linear_model.LogisticRegressionCV(cv=3)),
    "LassoCV": lambda: linear_model.LassoCV().fit(XR, YR).alpha_,
    "RFECV": lambda: feature_selection.RFECV(linear_model.LogisticRegression()).fit(X, Y).n_features_,
    "SequentialFeatureSelector": lambda: (
        feature_selection.SequentialFeatureSelector(SVC(), n_features_to_select=2, cv=3).fit(X, Y).get_support()
    ),
    "permutation_importance": lambda: (
        inspection.permutation_importance(SVC().fit(X, Y), X, Y, n_repeats=2, random_state=0).importances_mean
    ),
    "ColumnTransformer": lambda: compose.ColumnTransformer(
        [(n, s, [2 * i, 2 * i + 1]) for i, (n, s) in enumerate(SCALERS)]
    ).fit_transform(X)[0],
    "FeatureUnion": lambda: pipeline.FeatureUnion(SCALERS).fit_transform(X)[0],
    "pairwise_distances": lambda: metrics.pairwise_distances(X)[0, :3],
    "LatentDirichletAllocation": lambda: decomposition.LatentDirichletAllocation(
        2, random_state=0, max_iter=2
    ).fit_transform(X)[0],
    "DictionaryLearning": lambda: decomposition.DictionaryLearning(2, random_state=0, max_iter=2).fit_transform(X)[0],
    "KNeighborsClassifier": lambda: neighbors.KNeighborsClassifier().fit(X, Y).predict(X)[:3],
    "MeanShift": lambda: len(cluster.MeanShift().fit(X).cluster_centers_),
    "utils.parallel": lambda: Parallel()(delayed(np.sum)(X[i]) for i in range(3)),
}

if __name__ == "__main__":
    if elsewhere.ENGINE == "fanfold":
        import fanfold.joblib_backend  # noqa: F401
    for name, act in CASES.items():
        # Some split their sums by n_jobs, and threads share a random state where processes have copies of it.
        with joblib.parallel_config(backend="loky", n_jobs=2):
            alone = np.asarray(act(), float)
        with joblib.parallel_config(backend=elsewhere.ENGINE, n_jobs=2):
            case(name, act, same=lambda got, alone=alone: np.allclose(np.asarray(got, float), alone))
    end()
