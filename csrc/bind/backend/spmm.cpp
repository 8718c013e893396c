#include "ops/spmm.h"

#include "bind/arrays.h"
#include "bind/backend/register.h"
#include "bind/gil.h"

namespace fastcf::bind {
namespace {

template <class T>
Tuple<Array<Any>, Array<Any>> sparse_product(const Array<std::int64_t>& indptr, const Array<std::int32_t>& indices,
                                             const Array<Real>& values, const Array<Real>& x,
                                             const ArrayOrNone<std::int64_t>& entries, int n_threads,
                                             const ArrayOrNone<Real>& add_to) {
    const char* caller = "spmm";
    const auto dense = matrix_in<T>(x, caller, "x");
    const CsrView csr = csr_in(indptr, indices, py::none(), dense.rows, caller);
    const auto stored = vector_in<T>(values, caller, "values");
    const auto places = optional_vector_in<std::int64_t>(entries, caller, "entries");
    check(entries.is_none() || places.size == csr.nnz(), caller, ": entries must have ", csr.nnz(), " entries; got ",
          places.size);
    check(stored.size == csr.nnz(), caller, ": values must have ", csr.nnz(), " entries; got ", stored.size);
    for (std::int64_t e = 0; e < places.size; ++e)
        check(places[e] >= 0 && places[e] < stored.size, caller, ": entries must lie in [0, ", stored.size, "); got ",
              places[e], " at ", e);
    py::array_t<T> sums(csr.rows);
    py::object out = add_to;
    if (add_to.is_none()) out = py::array_t<T>({csr.rows, dense.cols});
    const auto out_view = matrix_out<T>(out, caller, "add_to");
    const VectorView<T> sums_view{sums.mutable_data(), csr.rows};
    {
        const ReleasedGil release;
        spmm<T>({csr.indptr, csr.indices, entries.is_none() ? nullptr : places.data, stored.data, csr.rows, csr.nnz()},
                dense, out_view, sums_view, n_threads, !add_to.is_none());
    }
    return py::make_tuple(out, sums);
}

}  // namespace

void register_spmm(py::module_& module) {
    module.def(
        "spmm",
        [](const Array<std::int64_t>& indptr, const Array<std::int32_t>& indices, const Array<Real>& values,
           const Array<Real>& x, const ArrayOrNone<std::int64_t>& entries, int n_threads,
           const ArrayOrNone<Real>& add_to) {
            const auto run = is_double(x) ? sparse_product<double> : sparse_product<float>;
            return run(indptr, indices, values, x, entries, n_threads, add_to);
        },
        py::arg("indptr"), py::arg("indices"), py::arg("values"), py::arg("x"), py::arg("entries") = py::none(),
        py::arg("n_threads") = 0, py::arg("add_to") = py::none());
}

}  // namespace fastcf::bind
