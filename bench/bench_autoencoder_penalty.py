"""The search of an autoencoder's penalty: validation RMSE and time of a fit, with and without.

    python bench/bench_autoencoder_penalty.py [FOLDER/SET ...] [--threads 1]

Sets are those of the folders and made-up ones; a tenth is the test part and not looked at, a tenth of the rest is held
out for the figures. The search holds out further ratings of its own. Seconds are those of the processor.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import fastcf
from common import write_json

FIXED = 400.0

# Users, items, ratings, and options of make_ratings.
NEAR_FACTORS = {"levels": None, "signal": 0.8, "popularity": 0.5, "activity": 0.3}
MADE_UP = {
    "made-up, 300 × 200, noise 0.3": (300, 200, 12_000, {"n_factors": 3, "noise": 0.3, **NEAR_FACTORS}),
    "made-up, 1,500 × 60, noise 0.4": (1_500, 60, 20_000, {"n_factors": 3, "noise": 0.4, **NEAR_FACTORS}),
    "made-up, 3,000 × 1,850": (3_000, 1_850, 450_000, {}),
    "the same, chosen by taste": (3_000, 1_850, 450_000, {"choice": 1.0}),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sets", nargs="*", type=Path)
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    sets = {folder.name: fastcf.data.load_ratings(folder) for folder in arguments.sets}
    for name, (n_users, n_items, n, options) in MADE_UP.items():
        sets[name] = fastcf.data.make_ratings(n_users, n_items, n, random_state=3, **options)
    print("| set | λ = 400 | searched | λ | processor seconds |\n|---|---|---|---|---|")
    results = []
    for name, ratings in sets.items():
        train, _ = fastcf.data.train_test_split(ratings, 0.1, random_state=0)
        train, validation = fastcf.data.train_test_split(train, 0.1, random_state=7)
        errors, seconds, reg = [], [], FIXED
        for given in (FIXED, "auto"):
            started = time.process_time()
            model = fastcf.Autoencoder(reg=given, random_state=0, n_threads=arguments.threads).fit(train)
            seconds.append(time.process_time() - started)
            errors.append(-model.score(validation))
            reg = model.reg_
        before, after = errors
        print(f"| {name} | {before:.4f} | {after:.4f} | {reg:g} | {seconds[0]:.1f}, {seconds[1]:.1f} |", flush=True)
        results.append({"set": name, "fixed": before, "searched": after, "reg": reg, "seconds": seconds})
    write_json("autoencoder_penalty", {"threads": arguments.threads, "results": results})


if __name__ == "__main__":
    main()
