// Selecting and sorting keys of math/order.h on the device: by the lanes of a warp, by the threads of a block.
#pragma once

#include <cstdint>
#include <limits>

#include "cuda/kernel.h"
#include "math/order.h"

namespace fastcf {

// A key that between `wanted` and `most` of some distinct keys are not below. `count(key)` says how many are not below
// one; `low` and `high` are the least and the greatest of them, which are at least `wanted`. Halving the interval ends
// after 64 steps at the latest, and the sooner the more room `most` gives. All threads that share the work must call
// it, with the same arguments.
template <class Count>
FASTCF_DEVICE std::uint64_t find_cut(std::uint64_t low, std::uint64_t high, std::int64_t wanted, std::int64_t most,
                                     Count count) {
    FASTCF_NO_UNROLL
    while (low < high) {
        const std::uint64_t middle = high - (high - low) / 2;
        const std::int64_t found = count(middle);
        if (found < wanted) {
            high = middle - 1;
        } else {
            low = middle;
            if (found <= most) return low;
        }
    }
    return low;
}

// By a warp: drops from keys[from..count), in place and in order, those for which `keep` is false; returns the new
// count. `keep` is given four keys at a time, so that their memory is waited for together; kNoRank stands for none.
template <class Keep>
FASTCF_DEVICE int warp_keep(Global<std::uint64_t> keys, int from, int count, Keep keep) {
    constexpr int kAtOnce = 4;
    int kept = from;
    FASTCF_NO_UNROLL
    for (int first = from; first < count; first += kAtOnce * kWarp) {
        std::uint64_t key[kAtOnce];
        bool wanted[kAtOnce];
        for (int a = 0; a < kAtOnce; ++a) {
            const int e = first + a * kWarp + lane_index();
            key[a] = kNoRank;
            if (e < count) key[a] = keys[e];
        }
        keep(key, wanted);
        warp_sync();  // every lane has read before one writes
        for (int a = 0; a < kAtOnce; ++a) {
            const unsigned lanes = ballot(wanted[a] && key[a] != kNoRank);
            if (wanted[a] && key[a] != kNoRank) keys[kept + lanes_before(lanes)] = key[a];
            kept += count_bits(lanes);
        }
    }
    warp_sync();
    return kept;
}

// By a warp: cuts keys[0..count) to their `wanted` best, or some more but at most `most`, unordered, where there are
// more than `most`. Returns how many are left; where they are at least `wanted`, `floor` becomes their least.
FASTCF_DEVICE int warp_cut(Global<std::uint64_t> keys, int count, int wanted, int most, std::uint64_t& floor) {
    constexpr int kHeld = 4;  // keys of a lane that stay in registers
    if (count < wanted || wanted == 0) return count;
    std::uint64_t held[kHeld];
    std::uint64_t high = 0, below = 0;  // the greatest key, and the greatest complement: that of the least
    for (int h = 0; h < kHeld; ++h) {
        const int e = h * kWarp + lane_index();
        held[h] = kNoRank;
        if (e < count) {
            held[h] = keys[e];
            high = held[h] > high ? held[h] : high;
            below = ~held[h] > below ? ~held[h] : below;
        }
    }
    FASTCF_NO_UNROLL
    for (int e = kHeld * kWarp + lane_index(); e < count; e += kWarp) {
        const std::uint64_t key = keys[e];
        high = key > high ? key : high;
        below = ~key > below ? ~key : below;
    }
    floor = ~warp_max(below);
    if (count <= most) return count;
    floor = find_cut(floor, warp_max(high), wanted, most, [&](std::uint64_t limit) {
        int found = 0;
        for (int h = 0; h < kHeld; ++h) found += held[h] >= limit ? 1 : 0;
        for (int e = kHeld * kWarp + lane_index(); e < count; e += kWarp) {
            const std::uint64_t key = keys[e];
            found += key >= limit ? 1 : 0;
        }
        return static_cast<std::int64_t>(warp_sum(found));
    });
    const std::uint64_t limit = floor;
    return warp_keep(keys, 0, count, [&](const std::uint64_t(&key)[4], bool(&wanted_keys)[4]) {
        for (int a = 0; a < 4; ++a) wanted_keys[a] = key[a] >= limit;
    });
}

// By a block: sorts `size` keys, a power of two, the greatest first (bitonic: log2(size)^2 / 2 steps with a barrier
// each). In shared or in global memory.
FASTCF_DEVICE void block_sort(Global<std::uint64_t> keys, std::int64_t size) {
    for (std::int64_t run = 2; run <= size; run *= 2) {
        for (std::int64_t step = run / 2; step > 0; step /= 2) {
            block_sync();
            for (std::int64_t pair = threadIdx.x; pair < size / 2; pair += blockDim.x) {
                const std::int64_t within = pair & (step - 1), e = 2 * (pair - within) + within;
                const std::uint64_t a = keys[e], b = keys[e + step];
                const bool descending = (e & run) == 0;
                if ((a < b) == descending) {
                    keys[e] = b;
                    keys[e + step] = a;
                }
            }
        }
    }
    block_sync();
}

// Where a block sorts `size` keys: in shared memory, or in its part of `spill` where they are more than
// kSortedInShared.
constexpr std::int64_t kSortedInShared = 4096;
template <bool Spilt>
FASTCF_DEVICE Global<std::uint64_t> sort_space(Global<std::uint64_t> spill, std::int64_t size) {
    if constexpr (Spilt) {
        return spill + blockIdx.x * size;
    } else {
        FASTCF_DYNAMIC_SHARED(std::uint64_t, shared);
        return shared;
    }
}

// The smallest power of two that is not below n and `least`, a power of two.
FASTCF_HD inline std::int64_t sort_size(std::int64_t n, std::int64_t least) {
    std::int64_t size = least;
    while (size < n) size *= 2;
    return size;
}

// By a block: the n best of keys, sorted, as items and scores; -1 and -infinity where there are too few. `each(take)`
// calls take(key) for the keys of the calling thread; `best` has room for `size` of them, a power of two, and all best
// ones fit. `scratch` has room for 32 keys, `gathered` for one number.
template <class Each>
FASTCF_DEVICE void write_best(Each each, Global<std::uint64_t> best, std::int64_t size, std::int64_t n,
                              Shared<std::uint64_t> scratch, Shared<int> gathered, Global<std::int32_t> ids,
                              Global<float> scores) {
    const auto count = [&](std::uint64_t limit) {
        std::uint64_t found = 0;
        each([&](std::uint64_t key) { found += key >= limit ? 1 : 0; });
        return static_cast<std::int64_t>(block_sum(found, scratch));
    };
    std::uint64_t cut = 1;
    if (count(cut) > size) {
        std::uint64_t high = 0, below = 0;
        each([&](std::uint64_t key) {
            high = key > high ? key : high;
            below = ~key > below ? ~key : below;
        });
        const std::uint64_t low = ~block_max(below, scratch);
        cut = find_cut(low, block_max(high, scratch), n < size ? n : size, size, count);
    }
    if (threadIdx.x == 0) gathered[0] = 0;
    block_sync();
    each([&](std::uint64_t key) {
        if (key >= cut) best[atomic_add(gathered, 1)] = key;
    });
    block_sync();
    const std::int64_t found = gathered[0], sorted = sort_size(found, 1);
    for (std::int64_t e = found + threadIdx.x; e < sorted; e += blockDim.x) best[e] = kNoRank;
    block_sort(best, sorted);
    for (std::int64_t e = threadIdx.x; e < n; e += blockDim.x) {
        std::uint64_t key = kNoRank;
        if (e < found) key = best[e];
        ids[e] = e < found ? rank_index(key) : -1;
        scores[e] = e < found ? rank_score(key) : -std::numeric_limits<float>::infinity();
    }
}

}  // namespace fastcf
