// Sorts pieces in parallel, then merges them pairwise. The result is that of std::sort where no two values are equal.
#pragma once

#include <algorithm>
#include <bit>
#include <cstdint>
#include <vector>

#include "core/parallel.h"

namespace fastcf {

template <class T, class Less>
void parallel_sort(std::vector<T>& values, int n_threads, Less less) {
    constexpr std::int64_t kLeast = 1 << 17;
    const auto n = static_cast<std::int64_t>(values.size());
    const auto threads = static_cast<std::uint64_t>(resolve_threads(n_threads));
    const std::int64_t pieces = n < kLeast ? 1 : static_cast<std::int64_t>(std::bit_ceil(threads));
    const auto bound = [&](std::int64_t piece) { return values.begin() + n * piece / pieces; };
    parallel_for(pieces, n_threads, [&](std::int64_t p, int) { std::sort(bound(p), bound(p + 1), less); });
    for (std::int64_t width = 1; width < pieces; width *= 2)
        parallel_for(pieces / (2 * width), n_threads, [&](std::int64_t p, int) {
            const std::int64_t first = 2 * width * p;
            std::inplace_merge(bound(first), bound(first + width), bound(first + 2 * width), less);
        });
}

}  // namespace fastcf
