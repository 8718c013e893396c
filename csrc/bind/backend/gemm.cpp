#include "ops/gemm.h"

#include <string>

#include "bind/arrays.h"
#include "bind/backend/register.h"
#include "bind/blas.h"
#include "bind/gil.h"

namespace fastcf::bind {
namespace {

template <class T>
void product(const Array<Real>& a, const Array<Real>& b, const Array<Real>& c, bool transpose_a, bool transpose_b,
             double alpha, double beta, int n_threads) {
    const auto left = matrix_in<T>(a, "gemm", "a"), right = matrix_in<T>(b, "gemm", "b");
    const auto out = matrix_out<T>(c, "gemm", "c");
    const ReleasedGil release;
    gemm<T>(transpose_a, transpose_b, static_cast<T>(alpha), left, right, static_cast<T>(beta), out, n_threads);
}

void set_gemm(const std::string& which) {
    for (const auto& [name, choice] :
         {std::pair{"auto", GemmChoice::automatic}, {"blas", GemmChoice::blas}, {"own", GemmChoice::own}}) {
        if (which != name) continue;
        gemm_choice = choice;
        return;
    }
    check(false, "set_gemm: which must be 'auto', 'blas' or 'own'; got '", which, "'");
}

}  // namespace

void register_gemm(py::module_& module) {
    find_blas();
    module.def("set_gemm", set_gemm, py::arg("which"));
    module.def(
        "gemm",
        [](const Array<Real>& a, const Array<Real>& b, const Array<Real>& c, bool transpose_a, bool transpose_b,
           double alpha, double beta, int n_threads) {
            const auto run = is_double(c) ? product<double> : product<float>;
            run(a, b, c, transpose_a, transpose_b, alpha, beta, n_threads);
        },
        py::arg("a"), py::arg("b"), py::arg("c"), py::arg("transpose_a") = false, py::arg("transpose_b") = false,
        py::arg("alpha") = 1.0, py::arg("beta") = 0.0, py::arg("n_threads") = 0);
}

}  // namespace fastcf::bind
