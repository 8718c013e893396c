#include "ops/candidates.h"

#include "bind/arrays.h"
#include "bind/gil.h"
#include "bind/host/register.h"

namespace fastcf::bind {
namespace {

Tuple<py::array_t<std::int64_t>, py::array_t<std::int32_t>, ArrayOrNone<float>, py::array_t<std::uint64_t>>
merge_arrays(const Array<std::int64_t>& list_indptr, const Array<std::int32_t>& list_items,
             const ArrayOrNone<float>& list_scores, const Array<std::int64_t>& user_indptr,
             const Array<std::int32_t>& user_lists, const ArrayOrNone<std::int64_t>& seen_indptr,
             const ArrayOrNone<std::int32_t>& seen_indices, std::int64_t limit, int n_threads) {
    const char* caller = "merge_candidates";
    MergeQuery query;
    query.list_indptr = vector_in<std::int64_t>(list_indptr, caller, "list_indptr");
    query.list_items = vector_in<std::int32_t>(list_items, caller, "list_items");
    query.list_scores = optional_vector_in<float>(list_scores, caller, "list_scores");
    check(list_scores.is_none() || query.list_scores.size == query.list_items.size, caller,
          ": list_scores must have one entry per item (", query.list_items.size, "); got ", query.list_scores.size);
    query.user_indptr = vector_in<std::int64_t>(user_indptr, caller, "user_indptr");
    query.user_lists = vector_in<std::int32_t>(user_lists, caller, "user_lists");
    check(seen_indptr.is_none() == seen_indices.is_none(), caller,
          ": seen_indptr and seen_indices must be given together");
    query.seen_indptr = optional_vector_in<std::int64_t>(seen_indptr, caller, "seen_indptr");
    check(seen_indptr.is_none() || !query.seen_indptr.empty(), caller, ": seen_indptr must not be empty");
    query.seen_indices = optional_vector_in<std::int32_t>(seen_indices, caller, "seen_indices");
    query.limit = limit;
    query.n_threads = n_threads;
    const auto merged = [&] {
        const ReleasedGil release;
        return merge_candidates(query);
    }();
    const std::int64_t size = merged.size();
    py::array_t<std::int64_t> indptr(query.user_indptr.size);
    py::array_t<std::int32_t> items(size);
    py::array_t<float> scores(list_scores.is_none() ? 0 : size);
    py::array_t<std::uint64_t> lists(size);
    const VectorView<std::int64_t> indptr_view{indptr.mutable_data(), indptr.size()};
    const VectorView<std::int32_t> items_view{items.mutable_data(), size};
    const VectorView<float> scores_view{scores.mutable_data(), scores.size()};
    const VectorView<std::uint64_t> lists_view{lists.mutable_data(), size};
    {
        const ReleasedGil release;
        merged.write(indptr_view, items_view, scores_view, lists_view, n_threads);
    }
    const py::object scored = list_scores.is_none() ? py::none() : py::object(scores);
    return py::make_tuple(indptr, items, scored, lists);
}

py::array_t<std::int64_t> top_arrays(const Array<std::int64_t>& indptr, const Array<float>& scores, std::int64_t n,
                                     int n_threads) {
    const char* caller = "top_candidates";
    const auto offsets = vector_in<std::int64_t>(indptr, caller, "indptr");
    const auto values = vector_in<float>(scores, caller, "scores");
    check(!offsets.empty(), caller, ": indptr must have at least one entry; got 0");
    check(n >= 0, caller, ": n must not be negative; got ", n);
    py::array_t<std::int64_t> entries({offsets.size - 1, n});
    const MatrixView<std::int64_t> view{entries.mutable_data(), offsets.size - 1, n, n};
    {
        const ReleasedGil release;
        top_candidates(offsets, values, view, n_threads);
    }
    return entries;
}

py::array_t<std::int64_t> place_arrays(const Array<std::int32_t>& items, const Array<std::int64_t>& indptr,
                                       const Array<std::int32_t>& categories, const Array<std::int64_t>& most,
                                       std::int64_t n) {
    const char* caller = "within_quotas";
    const auto lists = matrix_in<std::int32_t>(items, caller, "items");
    const Quotas quotas{vector_in<std::int64_t>(indptr, caller, "indptr"),
                        vector_in<std::int32_t>(categories, caller, "categories"),
                        vector_in<std::int64_t>(most, caller, "most")};
    check(n >= 0, caller, ": n must not be negative; got ", n);
    py::array_t<std::int64_t> places({lists.rows, n});
    const MatrixView<std::int64_t> view{places.mutable_data(), lists.rows, n, n};
    {
        const ReleasedGil release;
        within_quotas(lists, quotas, view);
    }
    return places;
}

}  // namespace

void register_candidates(py::module_& module) {
    module.def("merge_candidates", &merge_arrays, py::arg("list_indptr"), py::arg("list_items"), py::arg("list_scores"),
               py::arg("user_indptr"), py::arg("user_lists"), py::arg("seen_indptr") = py::none(),
               py::arg("seen_indices") = py::none(), py::arg("limit") = -1, py::arg("n_threads") = 0);
    module.def("top_candidates", &top_arrays, py::arg("indptr"), py::arg("scores"), py::arg("n"),
               py::arg("n_threads") = 0);
    module.def("within_quotas", &place_arrays, py::arg("items"), py::arg("indptr"), py::arg("categories"),
               py::arg("most"), py::arg("n"));
}

}  // namespace fastcf::bind
