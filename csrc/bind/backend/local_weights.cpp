#include "ops/local_weights.h"

#include "bind/arrays.h"
#include "bind/backend/register.h"
#include "bind/gil.h"

namespace fastcf::bind {
namespace {

py::array_t<float> local_weights_array(const Array<std::int64_t>& indptr, const Array<std::int32_t>& indices,
                                       const ArrayOrNone<float>& values, std::int64_t n_items,
                                       const Array<float>& user_weights, const Array<std::int64_t>& neighbour_indptr,
                                       const Array<std::int32_t>& neighbours, double reg, double diagonal,
                                       const ArrayOrNone<float>& targets, std::int64_t scratch_bytes, int n_threads) {
    const char* caller = "local_weights";
    LocalWeightsProblem problem;
    check(n_items >= 0, caller, ": n_items must not be negative; got ", n_items);
    problem.histories = csr_in(indptr, indices, values, n_items, caller);
    problem.targets = optional_vector_in<float>(targets, caller, "targets");
    problem.user_weights = vector_in<float>(user_weights, caller, "user_weights");
    problem.neighbour_indptr = vector_in<std::int64_t>(neighbour_indptr, caller, "neighbour_indptr");
    problem.neighbours = vector_in<std::int32_t>(neighbours, caller, "neighbours");
    problem.reg = reg;
    problem.diagonal = diagonal;
    problem.scratch_bytes = scratch_bytes;
    py::array_t<float> weights(problem.neighbours.size);
    const VectorView<float> view{weights.mutable_data(), problem.neighbours.size};
    {
        const ReleasedGil release;
        local_weights(problem, view, n_threads);
    }
    return weights;
}

}  // namespace

void register_local_weights(py::module_& module) {
    module.def("local_weights", &local_weights_array, py::arg("indptr"), py::arg("indices"), py::arg("values"),
               py::arg("n_items"), py::arg("user_weights"), py::arg("neighbour_indptr"), py::arg("neighbours"),
               py::arg("reg"), py::arg("diagonal"), py::arg("targets") = py::none(),
               py::arg("scratch_bytes") = std::int64_t{1} << 30, py::arg("n_threads") = 0);
}

}  // namespace fastcf::bind
