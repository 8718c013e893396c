// NumPy arrays in, views out: dtype, dimension and contiguity are checked here once, with the caller and the argument
// named. Nothing is converted or copied silently.
#pragma once

#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>

#include <string>

#include "core/view.h"

namespace fastcf::bind {

namespace py = pybind11;

template <class T>
py::array checked_array(const py::object& object, int ndim, bool writable, const char* caller, const char* name) {
    if (!py::isinstance<py::array>(object))
        throw py::type_error(concat(caller, ": ", name, " must be a NumPy array; got ",
                                    std::string(py::str(py::type::of(object).attr("__name__")))));
    auto array = py::reinterpret_borrow<py::array>(object);
    if (!py::isinstance<py::array_t<T>>(object))
        throw py::type_error(concat(caller, ": ", name, " must have dtype ", std::string(py::str(py::dtype::of<T>())),
                                    "; got ", std::string(py::str(array.dtype()))));
    check(array.ndim() == ndim, caller, ": ", name, " must have ", ndim, " dimension(s); got ", array.ndim());
    check((array.flags() & py::array::c_style) != 0, caller, ": ", name, " must be C-contiguous");
    check(!writable || array.writeable(), caller, ": ", name, " must be writable");
    return array;
}

inline bool is_double(const py::object& array) {
    return py::isinstance<py::array_t<double>>(array);
}

template <class T>
VectorView<const T> vector_in(const py::object& object, const char* caller, const char* name) {
    const py::array array = checked_array<T>(object, 1, false, caller, name);
    return {static_cast<const T*>(array.data()), array.shape(0)};
}

template <class T>
VectorView<T> vector_out(const py::object& object, const char* caller, const char* name) {
    py::array array = checked_array<T>(object, 1, true, caller, name);
    return {static_cast<T*>(array.mutable_data()), array.shape(0)};
}

template <class T>
MatrixView<const T> matrix_in(const py::object& object, const char* caller, const char* name) {
    const py::array array = checked_array<T>(object, 2, false, caller, name);
    return {static_cast<const T*>(array.data()), array.shape(0), array.shape(1), array.shape(1)};
}

template <class T>
MatrixView<T> matrix_out(const py::object& object, const char* caller, const char* name) {
    py::array array = checked_array<T>(object, 2, true, caller, name);
    return {static_cast<T*>(array.mutable_data()), array.shape(0), array.shape(1), array.shape(1)};
}

// None means absent: an empty view.
template <class T>
VectorView<const T> optional_vector_in(const py::object& object, const char* caller, const char* name) {
    if (object.is_none()) return {};
    return vector_in<T>(object, caller, name);
}

// The three arrays of a CSR matrix, fully validated (O(nnz)). `values` may be None.
inline CsrView csr_in(const py::object& indptr, const py::object& indices, const py::object& values, std::int64_t cols,
                      const char* caller) {
    const auto offsets = vector_in<std::int64_t>(indptr, caller, "indptr");
    const auto columns = vector_in<std::int32_t>(indices, caller, "indices");
    const auto stored = optional_vector_in<float>(values, caller, "values");
    check(offsets.size >= 1, caller, ": indptr must have at least one entry; got 0");
    check(values.is_none() || stored.size == columns.size, caller, ": values must have as many entries as indices (",
          columns.size, "); got ", stored.size);
    const CsrView csr{offsets.data, columns.data, stored.data, offsets.size - 1, cols};
    check_csr(csr, columns.size, caller);
    return csr;
}

}  // namespace fastcf::bind
