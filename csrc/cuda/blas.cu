#include <dlfcn.h>

#include <algorithm>
#include <mutex>
#include <string>

#include "core/check.h"
#include "cuda/blas.h"

namespace fastcf {
namespace {

// The part of cuBLAS's interface in use; its binary form has been the same since version 11.
using Handle = void*;
constexpr int kNoTranspose = 0, kTranspose = 1, kSuccess = 0;
template <class T>
using Gemm = int (*)(Handle, int, int, int, int, int, const T*, const T*, int, const T*, int, const T*, T*, int);

struct Library {
    Gemm<float> sgemm = nullptr;
    Gemm<double> dgemm = nullptr;
    Handle handle = nullptr;
    std::string state;
};

// A library of the process, else one that Python has told of by loading it (the nvidia-cublas wheel), else the
// system's.
void* open_library(std::string& name) {
    for (const char* candidate : {"libcublas.so.13", "libcublas.so.12"})
        if (void* library = dlopen(candidate, RTLD_LAZY | RTLD_NOLOAD)) {
            name = candidate;
            return library;
        }
    for (const char* candidate : {"libcublas.so.13", "libcublas.so.12"})
        if (void* library = dlopen(candidate, RTLD_LAZY | RTLD_LOCAL)) {
            name = candidate;
            return library;
        }
    return nullptr;
}

Library load() {
    Library found;
    std::string name;
    void* library = open_library(name);
    if (library == nullptr) {
        found.state = "not found";
        return found;
    }
    const auto create = reinterpret_cast<int (*)(Handle*)>(dlsym(library, "cublasCreate_v2"));
    const auto sgemm = reinterpret_cast<Gemm<float>>(dlsym(library, "cublasSgemm_v2"));
    const auto dgemm = reinterpret_cast<Gemm<double>>(dlsym(library, "cublasDgemm_v2"));
    if (create == nullptr || sgemm == nullptr || dgemm == nullptr) {
        found.state = name + " lacks functions";
        return found;
    }
    if (const int status = create(&found.handle); status != kSuccess) {
        found.state = concat(name, " cannot start: status ", status);
        return found;
    }
    found.sgemm = sgemm;
    found.dgemm = dgemm;
    found.state = name;
    return found;
}

const Library& library() {
    static const Library found = load();
    return found;
}

// Row by row is column by column of the transpose: C^T = op(B)^T op(A)^T.
template <class T>
bool product(Gemm<T> function, bool transpose_a, bool transpose_b, const GemmShape& shape, T alpha, const T* a,
             std::int64_t a_stride, const T* b, std::int64_t b_stride, T beta, T* c, std::int64_t c_stride) {
    static std::mutex mutex;  // a handle serves one thread at a time
    if (function == nullptr || shape.k == 0) return false;
    const std::lock_guard<std::mutex> lock(mutex);
    const auto stride = [](std::int64_t given) { return static_cast<int>(std::max<std::int64_t>(given, 1)); };
    const int status =
        function(library().handle, transpose_b ? kTranspose : kNoTranspose, transpose_a ? kTranspose : kNoTranspose,
                 static_cast<int>(shape.n), static_cast<int>(shape.m), static_cast<int>(shape.k), &alpha, b,
                 stride(b_stride), a, stride(a_stride), &beta, c, stride(c_stride));
    if (status != kSuccess) throw DeviceFailure(concat("cuBLAS failed at a matrix product: status ", status));
    return true;
}

}  // namespace

bool blas_gemm(bool transpose_a, bool transpose_b, const GemmShape& shape, float alpha, const float* a,
               std::int64_t a_stride, const float* b, std::int64_t b_stride, float beta, float* c,
               std::int64_t c_stride) {
    return product(library().sgemm, transpose_a, transpose_b, shape, alpha, a, a_stride, b, b_stride, beta, c,
                   c_stride);
}

bool blas_gemm(bool transpose_a, bool transpose_b, const GemmShape& shape, double alpha, const double* a,
               std::int64_t a_stride, const double* b, std::int64_t b_stride, double beta, double* c,
               std::int64_t c_stride) {
    return product(library().dgemm, transpose_a, transpose_b, shape, alpha, a, a_stride, b, b_stride, beta, c,
                   c_stride);
}

const char* blas_state() {
    return library().state.c_str();
}

}  // namespace fastcf
