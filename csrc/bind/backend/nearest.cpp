#include "ops/nearest.h"

#include <string>

#include "bind/arrays.h"
#include "bind/backend/device_array.h"
#include "bind/backend/lists.h"
#include "bind/backend/register.h"

namespace fastcf::bind {
namespace {

Metric metric_in(const std::string& name, const char* caller) {
    if (name == "dot") return Metric::dot;
    if (name == "cosine") return Metric::cosine;
    check(name == "euclidean", caller, ": metric must be 'dot', 'cosine' or 'euclidean'; got '", name, "'");
    return Metric::euclidean;
}

BestLists nearest_arrays(const Array<float>& queries, const Array<float>& items, std::int64_t n,
                         const std::string& metric, const ArrayOrNone<std::int32_t>& query_rows,
                         const ArrayOrNone<std::int32_t>& candidates, const ArrayOrNone<std::int32_t>& excluded,
                         const ArrayOrNone<float>& item_bias, int n_threads) {
    const char* caller = "nearest";
    NearestQuery query;
    query.queries = held_matrix_in<float>(queries, caller, "queries");
    query.items = held_matrix_in<float>(items, caller, "items");
    query.metric = metric_in(metric, caller);
    query.query_rows = optional_vector_in<std::int32_t>(query_rows, caller, "query_rows");
    check(query_rows.is_none() || query.query_rows.size == query.queries.rows, caller,
          ": query_rows must have one entry per query (", query.queries.rows, "); got ", query.query_rows.size);
    if (!candidates.is_none()) query.candidates = vector_in<std::int32_t>(candidates, caller, "candidates");
    query.excluded = optional_vector_in<std::int32_t>(excluded, caller, "excluded");
    if (!item_bias.is_none()) {
        query.item_bias = held_vector_in<float>(item_bias, caller, "item_bias");
        check(query.item_bias.size == query.items.rows, caller, ": item_bias must have one entry per item (",
              query.items.rows, "); got ", query.item_bias.size);
    }
    query.n_threads = n_threads;
    return best_lists(query.queries.rows, n, caller,
                      [&](const auto& ids, const auto& scores) { nearest(query, ids, scores); });
}

}  // namespace

void register_nearest(py::module_& module) {
    module.def("nearest", &nearest_arrays, py::arg("queries"), py::arg("items"), py::arg("n"),
               py::arg("metric") = "cosine", py::arg("query_rows") = py::none(), py::arg("candidates") = py::none(),
               py::arg("excluded") = py::none(), py::arg("item_bias") = py::none(), py::arg("n_threads") = 0);
}

}  // namespace fastcf::bind
