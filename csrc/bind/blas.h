// Dense products are those of the BLAS that SciPy brings, by the pointers that its Cython module exports.
#pragma once

#include <dlfcn.h>
#include <pybind11/pybind11.h>

#include <string>

#include "cpu/blas.h"

namespace fastcf::bind {

// The address in a Cython capsule.
template <class Function>
Function blas_function(const pybind11::dict& functions, const char* name) {
    const auto capsule = functions[name].cast<pybind11::capsule>();
    return reinterpret_cast<Function>(capsule.get_pointer());
}

// The name of the kernels in use, where SciPy's BLAS is an OpenBLAS, whatever prefix and suffix it was built with:
// looked for in Cython's module and in what that was linked with, since NumPy may bring another.
inline std::string openblas_core(const char* cython_blas) {
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
inline Isa isa_of_core(const std::string& core) {
    for (const char* const name : {"Prescott", "Core2", "Penryn", "Dunnington", "Nehalem", "Sandybridge"})
        if (core == name) return Isa::baseline;
    for (const char* const name : {"Haswell", "Zen"})
        if (core == name) return Isa::avx2;
    return Isa::avx512;
}

// Once, when a module that multiplies matrices is imported.
inline void find_blas() {
    const auto cython_blas = pybind11::module_::import("scipy.linalg.cython_blas");
    const pybind11::dict functions = cython_blas.attr("__pyx_capi__");
    blas_sgemm = blas_function<BlasGemm<float>>(functions, "sgemm");
    blas_dgemm = blas_function<BlasGemm<double>>(functions, "dgemm");
    blas_core = openblas_core(cython_blas.attr("__file__").cast<std::string>().c_str());
    blas_isa = isa_of_core(blas_core);
}

}  // namespace fastcf::bind
