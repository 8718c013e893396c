// One row of the rating matrix: its losses and errors, and the sum of factor rows weighted by errors.
#pragma once

#include <cstdint>

#include "core/isa.h"

namespace fastcf {

template <class T>
struct MfRow {
    const T* rows;  // the other side's factors
    std::int64_t stride;
    std::int64_t k;
    const std::int32_t* indices;  // which of them this row's ratings mean
    std::int64_t n;
    std::int64_t readable;  // >= n: so many indices may be looked at, to prefetch what comes next
    const T* own;           // this row's factors
    T own_bias;
    const T* bias;    // the other side's, or null
    const T* offset;  // the other side's, or null: global_offset
    T global_offset;
    bool logistic;
};

template <class T>
struct MfRowKernels {
    // gradient = reg times the factors; returns reg |factors|^2.
    double (*start)(T reg, const T* factors, std::int64_t k, T* gradient);
    // errors[j] = w l'(z_j, y_j); adds errors[j] times the factor row to gradient (k,), errors to *error_sum. Returns
    // the sum of w l. weights may be null: 1.
    double (*forward)(const MfRow<T>& row, const T* values, const T* weights, T* errors, T* gradient, T* error_sum);
    // The same additions for errors known already: errors[entries[j]] for the j-th rating, errors[j] where entries is
    // null.
    void (*backward)(const MfRow<T>& row, const T* errors, const std::int64_t* entries, T* gradient, T* error_sum);
    // out[j] = z_j, or its sigmoid.
    void (*predict)(const MfRow<T>& row, T* out);
};

struct MfKernels {
    MfRowKernels<float> of_float;
    MfRowKernels<double> of_double;
};

FASTCF_KERNEL_TABLES(MfKernels, mf_kernels)

}  // namespace fastcf
