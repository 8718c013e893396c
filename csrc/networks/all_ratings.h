// All ratings at once, on the device: by user, and by item.
#pragma once

#include <cstdint>
#include <numeric>
#include <vector>

#include "core/memory.h"
#include "core/view.h"
#include "ops/mf_gradient.h"

namespace fastcf {

template <class T>
struct AllRatings {
    DeviceArray<std::int64_t> indptr, item_indptr, item_entries;
    DeviceArray<std::int32_t> items, users;
    DeviceArray<T> values, weights;
    std::int64_t n_users = 0, n_items = 0, n = 0;

    AllRatings() = default;
    // Copies what lies in host memory; `ratings_weights` may be empty.
    AllRatings(const CsrView& structure, const T* ratings, VectorView<const T> rating_weights)
        : indptr(structure.indptr, structure.rows + 1),
          items(structure.indices, structure.nnz()),
          values(ratings, structure.nnz()),
          weights(rating_weights.data, rating_weights.size),
          n_users(structure.rows),
          n_items(structure.cols),
          n(structure.nnz()) {
        std::vector<std::int64_t> next(static_cast<std::size_t>(n_items) + 1), entries(static_cast<std::size_t>(n));
        std::vector<std::int32_t> owners(entries.size());
        for (std::int64_t e = 0; e < n; ++e) ++next[static_cast<std::size_t>(structure.indices[e]) + 1];
        std::partial_sum(next.begin(), next.end(), next.begin());
        item_indptr = DeviceArray<std::int64_t>(next);
        for (std::int64_t u = 0; u < n_users; ++u)
            for (std::int64_t e = structure.indptr[u]; e < structure.indptr[u + 1]; ++e) {
                const auto place = static_cast<std::size_t>(next[static_cast<std::size_t>(structure.indices[e])]++);
                entries[place] = e;
                owners[place] = static_cast<std::int32_t>(u);
            }
        item_entries = DeviceArray<std::int64_t>(entries);
        users = DeviceArray<std::int32_t>(owners);
    }

    MfRatings<T> view() const {
        return {indptr.data(), items.data(),        values.data(), weights.data(), item_indptr.data(),
                users.data(),  item_entries.data(), n_users,       n_items,        n};
    }
};

}  // namespace fastcf
