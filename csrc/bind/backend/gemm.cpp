#include "ops/gemm.h"

#include <dlfcn.h>

#include <string>

#include "bind/arrays.h"
#include "bind/backend/register.h"
#include "cpu/blas.h"

namespace fastcf::bind {
namespace {

template <class T>
void product(const py::object& a, const py::object& b, const py::object& c, bool transpose_a, bool transpose_b,
             double alpha, double beta, int n_threads) {
    const auto left = matrix_in<T>(a, "gemm", "a"), right = matrix_in<T>(b, "gemm", "b");
    const auto out = matrix_out<T>(c, "gemm", "c");
    const py::gil_scoped_release release;
    gemm<T>(transpose_a, transpose_b, static_cast<T>(alpha), left, right, static_cast<T>(beta), out, n_threads);
}

// The address behind a capsule of Cython's.
template <class Function>
Function blas_function(const py::dict& functions, const char* name) {
    const auto capsule = functions[name].cast<py::capsule>();
    return reinterpret_cast<Function>(capsule.get_pointer());
}

// The name of the kernels in use, where SciPy's BLAS is an OpenBLAS, whatever prefix and suffix it was built with:
// looked for in Cython's module and in what that was linked with, for NumPy may bring another.
std::string openblas_core(const char* cython_blas) {
    void* const library = dlopen(cython_blas, RTLD_LAZY | RTLD_NOLOAD);
    if (library == nullptr) return {};
    std::string core;
    for (const char* const name : {"scipy_openblas_get_corename", "openblas_get_corename",
                                   "scipy_openblas_get_corename64_", "openblas_get_corename64_"}) {
        if (void* const function = dlsym(library, name)) {
            core = reinterpret_cast<const char* (*)()>(function)();
            break;
        }
    }
    dlclose(library);
    return core;
}

// OpenBLAS takes kernels of older processors on one that it does not know, or that it was not built for.
Isa isa_of_core(const std::string& core) {
    for (const char* const name : {"Prescott", "Core2", "Penryn", "Dunnington", "Nehalem", "Sandybridge"})
        if (core == name) return Isa::baseline;
    for (const char* const name : {"Haswell", "Zen"})
        if (core == name) return Isa::avx2;
    return Isa::avx512;
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
    const py::module_ cython_blas = py::module_::import("scipy.linalg.cython_blas");
    const py::dict functions = cython_blas.attr("__pyx_capi__");
    blas_sgemm = blas_function<BlasGemm<float>>(functions, "sgemm");
    blas_dgemm = blas_function<BlasGemm<double>>(functions, "dgemm");
    blas_core = openblas_core(cython_blas.attr("__file__").cast<std::string>().c_str());
    blas_isa = isa_of_core(blas_core);
    module.def("set_gemm", set_gemm, py::arg("which"));
    module.def(
        "gemm",
        [](const py::object& a, const py::object& b, const py::object& c, bool transpose_a, bool transpose_b,
           double alpha, double beta, int n_threads) {
            const auto run = py::isinstance<py::array_t<double>>(c) ? product<double> : product<float>;
            run(a, b, c, transpose_a, transpose_b, alpha, beta, n_threads);
        },
        py::arg("a"), py::arg("b"), py::arg("c"), py::arg("transpose_a") = false, py::arg("transpose_b") = false,
        py::arg("alpha") = 1.0, py::arg("beta") = 0.0, py::arg("n_threads") = 0);
}

}  // namespace fastcf::bind
