#include <dlfcn.h>

#include <algorithm>
#include <mutex>
#include <string>

#include "core/check.h"
#include "cuda/blas.h"
#include "cuda/kernel.h"

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

// The library of this name, if it is there and starts.
bool start(void* library, const char* name, Library& found) {
    if (library == nullptr) return false;
    const auto create = reinterpret_cast<int (*)(Handle*)>(dlsym(library, "cublasCreate_v2"));
    found.sgemm = reinterpret_cast<Gemm<float>>(dlsym(library, "cublasSgemm_v2"));
    found.dgemm = reinterpret_cast<Gemm<double>>(dlsym(library, "cublasDgemm_v2"));
    const int status =
        create == nullptr || found.sgemm == nullptr || found.dgemm == nullptr ? -1 : create(&found.handle);
    found.state = status == kSuccess ? name : concat(name, " cannot start: status ", status);
    if (status == kSuccess) return true;
    found.sgemm = nullptr;
    found.dgemm = nullptr;
    return false;
}

// One of the process's own, which Python may have loaded from NVIDIA's wheel, else the system's.
Library load() {
    const OnDevice on_device;
    Library found;
    found.state = "not found";
    for (const int mode : {RTLD_LAZY | RTLD_NOLOAD, RTLD_LAZY | RTLD_LOCAL})
        for (const char* name : {"libcublas.so.13", "libcublas.so.12"})
            if (start(dlopen(name, mode), name, found)) return found;
    return found;
}

const Library& library() {
    static const Library found = load();
    return found;
}

std::mutex handle_mutex;  // a handle serves one thread at a time

// Row by row is column by column of the transpose: C^T = op(B)^T op(A)^T.
template <class T>
bool product(Gemm<T> function, bool transpose_a, bool transpose_b, const GemmShape& shape, T alpha, const T* a,
             std::int64_t a_stride, const T* b, std::int64_t b_stride, T beta, T* c, std::int64_t c_stride) {
    if (function == nullptr || shape.k == 0) return false;
    const OnDevice on_device;
    const std::lock_guard<std::mutex> lock(handle_mutex);
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
