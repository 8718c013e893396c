// Scores and lists of the best as arrays of Python's: how they are selected, and how they are made.
#pragma once

#include <cstdint>
#include <utility>

#include "bind/arrays.h"
#include "bind/backend/device_array.h"
#include "bind/gil.h"
#include "ops/topk.h"

namespace fastcf::bind {

using BestLists = Tuple<py::array_t<std::int32_t>, py::array_t<float>>;

// What is left out of lists, what they are taken from, and what is added to scores.
inline void select_items(TopkQuery& query, const ArrayOrNone<std::int64_t>& seen_indptr,
                         const ArrayOrNone<std::int32_t>& seen_indices, const ArrayOrNone<std::int32_t>& candidates,
                         const ArrayOrNone<std::int32_t>& excluded, const ArrayOrNone<float>& item_bias,
                         std::int64_t n_items, const char* caller) {
    check(seen_indptr.is_none() == seen_indices.is_none(), caller,
          ": seen_indptr and seen_indices must be given together");
    query.seen_indptr = optional_vector_in<std::int64_t>(seen_indptr, caller, "seen_indptr");
    check(seen_indptr.is_none() || !query.seen_indptr.empty(), caller, ": seen_indptr must not be empty");
    query.seen_indices = optional_vector_in<std::int32_t>(seen_indices, caller, "seen_indices");
    if (!candidates.is_none()) query.candidates = vector_in<std::int32_t>(candidates, caller, "candidates");
    query.excluded = optional_vector_in<std::int32_t>(excluded, caller, "excluded");
    if (item_bias.is_none()) return;
    query.item_bias = held_vector_in<float>(item_bias, caller, "item_bias");
    check(query.item_bias.size == n_items, caller, ": item_bias must have one entry per item (", n_items, "); got ",
          query.item_bias.size);
}

// Lists of n for each of some rows, which fill(ids, scores) writes without the GIL.
template <class Fill>
BestLists best_lists(std::int64_t rows, std::int64_t n, const char* caller, Fill&& fill, const char* name = "n") {
    check(n >= 0, caller, ": ", name, " must not be negative; got ", n);
    py::array_t<std::int32_t> ids({rows, n});
    py::array_t<float> scores({rows, n});
    const MatrixView<std::int32_t> ids_view{ids.mutable_data(), rows, n, n};
    const MatrixView<float> scores_view = view_of(scores);
    {
        const ReleasedGil release;
        std::forward<Fill>(fill)(ids_view, scores_view);
    }
    return py::make_tuple(ids, scores);
}

// A table that fill(table) writes without the GIL.
template <class Fill>
py::array_t<float> filled_table(std::int64_t rows, std::int64_t cols, Fill&& fill) {
    py::array_t<float> out({rows, cols});
    const auto view = view_of(out);
    const ReleasedGil release;
    std::forward<Fill>(fill)(view);
    return out;
}

// The same of numbers.
template <class Fill>
py::array_t<float> filled_vector(std::int64_t size, Fill&& fill) {
    py::array_t<float> out(size);
    const VectorView<float> view{out.mutable_data(), size};
    const ReleasedGil release;
    std::forward<Fill>(fill)(view);
    return out;
}

}  // namespace fastcf::bind
