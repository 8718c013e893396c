// Draws from a discrete distribution in constant time: Walker's alias method (ACM TOMS 3, 1977), the table built as M.
// Vose does (IEEE TSE 17, 1991).
#pragma once

#include <cstdint>
#include <vector>

namespace fastcf {

// One of n equally likely slots: its own number where the coin is below the threshold, else `alias`.
struct AliasSlot {
    std::uint32_t threshold;
    std::int32_t alias;
};

// Fills slots[0 .. n) so that i is drawn with a probability of weights[i] times `scale`; these must sum up to 1.
inline void build_alias(const double* weights, std::int64_t n, double scale, AliasSlot* slots) {
    std::vector<double> share(static_cast<std::size_t>(n));
    std::vector<std::int32_t> small, large;
    for (std::int64_t i = 0; i < n; ++i) {
        share[static_cast<std::size_t>(i)] = weights[i] * scale * static_cast<double>(n);
        (share[static_cast<std::size_t>(i)] < 1.0 ? small : large).push_back(static_cast<std::int32_t>(i));
        slots[i] = {UINT32_MAX, static_cast<std::int32_t>(i)};
    }
    while (!small.empty() && !large.empty()) {
        const std::int32_t poor = small.back(), rich = large.back();
        small.pop_back();
        slots[poor] = {static_cast<std::uint32_t>(share[static_cast<std::size_t>(poor)] * 0x1.0p32), rich};
        share[static_cast<std::size_t>(rich)] -= 1.0 - share[static_cast<std::size_t>(poor)];
        if (share[static_cast<std::size_t>(rich)] < 1.0) {
            large.pop_back();
            small.push_back(rich);
        }
    }
}

}  // namespace fastcf
