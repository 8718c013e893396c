#include "ops/list_measures.h"

#include "bind/arrays.h"
#include "bind/gil.h"
#include "bind/host/register.h"
#include "math/list_measures.h"

namespace fastcf::bind {
namespace {

Tuple<py::array_t<double>, std::int64_t> measure_arrays(const Array<std::int32_t>& users,
                                                        const Array<std::int32_t>& items,
                                                        const Array<std::int64_t>& indptr,
                                                        const Array<std::int32_t>& indices, const Array<float>& gains,
                                                        const Array<std::int64_t>& lengths, int n_threads) {
    const char* caller = "list_measures";
    ListQuery query;
    query.users = vector_in<std::int32_t>(users, caller, "users");
    query.items = matrix_in<std::int32_t>(items, caller, "items");
    query.indptr = vector_in<std::int64_t>(indptr, caller, "indptr");
    query.indices = vector_in<std::int32_t>(indices, caller, "indices");
    query.gains = vector_in<float>(gains, caller, "gains");
    query.lengths = vector_in<std::int64_t>(lengths, caller, "lengths");
    query.n_threads = n_threads;
    const std::int64_t m = query.users.size, n_lengths = query.lengths.size;
    py::array_t<double> measures({n_lengths, ListMeasures::kCount, m});
    const MatrixView<double> view{measures.mutable_data(), n_lengths * ListMeasures::kCount, m, m};
    const std::int64_t repeated = [&] {
        const ReleasedGil release;
        return list_measures(query, view);
    }();
    return py::make_tuple(measures, repeated);
}

}  // namespace

void register_list_measures(py::module_& module) {
    module.def("list_measures", &measure_arrays, py::arg("users"), py::arg("items"), py::arg("indptr"),
               py::arg("indices"), py::arg("gains"), py::arg("lengths"), py::arg("n_threads") = 0);
}

}  // namespace fastcf::bind
