"""Train on a MovieLens folder, compare with the baselines, and recommend films with titles.

    python examples/movielens.py ml-latest-small [--user 42] [--genre Comedy]

The folder is any MovieLens set, or one of the same layout; https://grouplens.org/datasets/movielens/ has them.
"""

import argparse

import numpy as np

import fastcf


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", help="folder with ratings.csv, ratings.dat or u.data")
    parser.add_argument("--user", help="user to recommend to; by default the first")
    parser.add_argument("--genre", help="recommend only items of this genre")
    arguments = parser.parse_args()

    ratings, _, films = fastcf.data.load_movielens(arguments.folder)
    print(ratings)
    train, test = fastcf.data.train_test_split(ratings, test_size=0.1, random_state=0)

    baseline = fastcf.BiasModel().fit(train)
    model = fastcf.MatrixFactorization(random_state=0, verbose=1).fit(train)
    for fitted in (baseline, model):
        predicted = fitted.predict(test)
        rmse, mae = fastcf.metrics.rmse(test.values, predicted), fastcf.metrics.mae(test.values, predicted)
        print(f"{type(fitted).__name__:<20} test RMSE {rmse:.4f}  MAE {mae:.4f}")

    ids = ratings.users.ids
    user = ids[0] if arguments.user is None else np.array([arguments.user]).astype(ids.dtype)[0]
    if user not in ratings.users:
        parser.error(f"unknown user {user}")
    chosen = None
    if arguments.genre is not None and films is not None:
        has_genre = [arguments.genre in genres.split("|") for genres in films.genres]
        chosen = films.ids[has_genre]

    items, scores = model.recommend(user, n=10, candidates=chosen)
    titles = [""] * len(items) if films is None else films.title_of(items)
    print(f"\nFor user {user}:")
    for item, score, title in zip(items, scores, titles, strict=True):
        if np.isfinite(score):  # fewer than ten may be left
            print(f"  {score:5.2f}  {item}  {title}")


if __name__ == "__main__":
    main()
