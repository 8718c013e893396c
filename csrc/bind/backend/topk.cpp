#include "ops/topk.h"

#include <string>

#include "bind/arrays.h"
#include "bind/backend/device_array.h"
#include "bind/backend/register.h"
#include "bind/names.h"

namespace fastcf::bind {
namespace {

Tuple<py::array_t<std::int32_t>, py::array_t<float>> topk_arrays(const Array<float>& queries, const Array<float>& items,
                                                                 const ArrayOrNone<float>& item_bias, std::int64_t n,
                                                                 const ArrayOrNone<std::int64_t>& seen_indptr,
                                                                 const ArrayOrNone<std::int32_t>& seen_indices,
                                                                 const ArrayOrNone<std::int32_t>& candidates,
                                                                 const ArrayOrNone<std::int32_t>& excluded,
                                                                 const std::string& storage, int n_threads) {
    const char* caller = "topk";
    TopkQuery query;
    query.queries = held_matrix_in<float>(queries, caller, "queries");
    query.items = held_matrix_in<float>(items, caller, "items");
    if (!item_bias.is_none()) {
        query.item_bias = held_vector_in<float>(item_bias, caller, "item_bias");
        check(query.item_bias.size == query.items.rows, caller, ": item_bias must have one entry per item (",
              query.items.rows, "); got ", query.item_bias.size);
    }
    check(seen_indptr.is_none() == seen_indices.is_none(), caller,
          ": seen_indptr and seen_indices must be given together");
    query.seen_indptr = optional_vector_in<std::int64_t>(seen_indptr, caller, "seen_indptr");
    check(seen_indptr.is_none() || !query.seen_indptr.empty(), caller, ": seen_indptr must not be empty");
    query.seen_indices = optional_vector_in<std::int32_t>(seen_indices, caller, "seen_indices");
    if (!candidates.is_none()) query.candidates = vector_in<std::int32_t>(candidates, caller, "candidates");
    query.excluded = optional_vector_in<std::int32_t>(excluded, caller, "excluded");
    query.half_storage = named<Storage>(storage, caller, "storage") == Storage::float16;
    query.n_threads = n_threads;
    check(n >= 0, caller, ": n must not be negative; got ", n);

    py::array_t<std::int32_t> ids({query.queries.rows, n});
    py::array_t<float> scores({query.queries.rows, n});
    const MatrixView<std::int32_t> ids_view{ids.mutable_data(), query.queries.rows, n, n};
    const MatrixView<float> scores_view{scores.mutable_data(), query.queries.rows, n, n};
    {
        const py::gil_scoped_release release;
        topk(query, ids_view, scores_view);
    }
    return py::make_tuple(ids, scores);
}

}  // namespace

void register_topk(py::module_& module) {
    module.def("topk", &topk_arrays, py::arg("queries"), py::arg("items"), py::arg("item_bias"), py::arg("n"),
               py::arg("seen_indptr") = py::none(), py::arg("seen_indices") = py::none(),
               py::arg("candidates") = py::none(), py::arg("excluded") = py::none(), py::arg("storage") = "float32",
               py::arg("n_threads") = 0);
}

}  // namespace fastcf::bind
