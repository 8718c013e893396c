#include "ops/topk.h"

#include <string>

#include "bind/arrays.h"
#include "bind/backend/device_array.h"
#include "bind/backend/lists.h"
#include "bind/backend/register.h"
#include "bind/names.h"

namespace fastcf::bind {
namespace {

BestLists topk_arrays(const Array<float>& queries, const Array<float>& items, const ArrayOrNone<float>& item_bias,
                      std::int64_t n, const ArrayOrNone<std::int64_t>& seen_indptr,
                      const ArrayOrNone<std::int32_t>& seen_indices, const ArrayOrNone<std::int32_t>& candidates,
                      const ArrayOrNone<std::int32_t>& excluded, const std::string& storage, int n_threads) {
    const char* caller = "topk";
    TopkQuery query;
    query.queries = held_matrix_in<float>(queries, caller, "queries");
    query.items = held_matrix_in<float>(items, caller, "items");
    select_items(query, seen_indptr, seen_indices, candidates, excluded, item_bias, query.items.rows, caller);
    query.half_storage = named<Storage>(storage, caller, "storage") == Storage::float16;
    query.n_threads = n_threads;
    return best_lists(query.queries.rows, n, caller,
                      [&](const auto& ids, const auto& scores) { topk(query, ids, scores); });
}

}  // namespace

void register_topk(py::module_& module) {
    module.def("topk", &topk_arrays, py::arg("queries"), py::arg("items"), py::arg("item_bias"), py::arg("n"),
               py::arg("seen_indptr") = py::none(), py::arg("seen_indices") = py::none(),
               py::arg("candidates") = py::none(), py::arg("excluded") = py::none(), py::arg("storage") = "float32",
               py::arg("n_threads") = 0);
}

}  // namespace fastcf::bind
