// Dense products are those of the BLAS that SciPy brings, by the pointers that its Cython module exports.
#pragma once

#include <dlfcn.h>
#include <pybind11/pybind11.h>

#include <initializer_list>
#include <string>

#include "cpu/blas.h"

namespace fastcf::bind {

// The address in a Cython capsule.
template <class Function>
Function blas_function(const pybind11::dict& functions, const char* name) {
    const auto capsule = functions[name].cast<pybind11::capsule>();
    return reinterpret_cast<Function>(capsule.get_pointer());
}

// A function of the BLAS behind Cython's module or of what that was linked with, since NumPy may bring another; null
// where there is none of these names.
template <class Function>
Function find_function(void* library, std::initializer_list<const char*> names) {
    for (const char* const name : names)
        if (void* const function = dlsym(library, name)) return reinterpret_cast<Function>(function);
    return nullptr;
}

// The name of the kernels in use, where SciPy's BLAS is an OpenBLAS, whatever prefix and suffix it was built with.
inline std::string openblas_core(void* library) {
    const auto core =
        find_function<const char* (*)()>(library, {"scipy_openblas_get_corename", "openblas_get_corename",
                                                   "scipy_openblas_get_corename64_", "openblas_get_corename64_"});
    return core == nullptr ? std::string() : core();
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
    const auto file = cython_blas.attr("__file__").cast<std::string>();
    if (void* const library = dlopen(file.c_str(), RTLD_LAZY | RTLD_NOLOAD)) {
        blas_core = openblas_core(library);
        blas_set_threads = find_function<void (*)(int)>(library, {"omp_set_num_threads"});
        dlclose(library);
    }
    blas_isa = isa_of_core(blas_core);
}

}  // namespace fastcf::bind
