// NumPy arrays in, views out: dtype, dimension and contiguity are checked here once, with the caller and the argument
// named. Nothing is converted or copied silently.
#pragma once

#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>
#include <pybind11/typing.h>

#include <string>

#include "core/view.h"

namespace fastcf::bind {

namespace py = pybind11;

// Arguments that must be arrays of T's, which the functions below see to: errors can then name caller and argument. The
// type stands in the signature, from which stubs are made. Real: float32 or float64; Any: what the function says.
struct Real {};
struct Any {};
template <class T>
class Array : public py::object {
  public:
    Array() = default;
    Array(const py::object& value) : py::object(value) {}
    Array(py::handle value, borrowed_t tag) : py::object(value, tag) {}
    Array(py::handle value, stolen_t tag) : py::object(value, tag) {}
    static bool check_(py::handle value) { return value.ptr() != nullptr; }
};
template <class T>
class ArrayOrNone : public Array<T> {
    using Array<T>::Array;
};
// An argument or a result whose type stands in the signature as Form::name.
template <class Form>
class Formed : public py::object {
  public:
    Formed() = default;
    Formed(const py::object& value) : py::object(value) {}
    Formed(py::handle value, borrowed_t tag) : py::object(value, tag) {}
    Formed(py::handle value, stolen_t tag) : py::object(value, tag) {}
    static bool check_(py::handle value) { return value.ptr() != nullptr; }
};
struct RecordForm {
    static constexpr auto name = py::detail::const_name("dict[str, typing.Any]");
};
using Record = Formed<RecordForm>;
template <class... T>
using Tuple = py::typing::Tuple<T...>;

}  // namespace fastcf::bind

namespace pybind11::detail {

template <class T>
struct array_entry : npy_format_descriptor<T> {};
template <>
struct array_entry<fastcf::bind::Real> {
    static constexpr auto name = const_name("numpy.floating[typing.Any]");
};
template <>
struct array_entry<fastcf::bind::Any> {
    static constexpr auto name = const_name("typing.Any");
};
template <class T>
struct handle_type_name<fastcf::bind::Array<T>> {
    static constexpr auto name = const_name("numpy.typing.NDArray[") + array_entry<T>::name + const_name("]");
};
template <class T>
struct handle_type_name<fastcf::bind::ArrayOrNone<T>> {
    static constexpr auto name = handle_type_name<fastcf::bind::Array<T>>::name + const_name(" | None");
};
template <class Form>
struct handle_type_name<fastcf::bind::Formed<Form>> {
    static constexpr auto name = Form::name;
};

}  // namespace pybind11::detail

namespace fastcf::bind {

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

// Of either kind; what is only read may be read-only.
template <class T>
MatrixView<T> array_matrix(const py::handle& object, bool writable, const char* caller, const char* name) {
    const auto array = checked_array<T>(py::reinterpret_borrow<py::object>(object), 2, writable, caller, name);
    return {static_cast<T*>(const_cast<void*>(array.data())), array.shape(0), array.shape(1), array.shape(1)};
}
template <class T>
VectorView<T> array_vector(const py::handle& object, bool writable, const char* caller, const char* name) {
    const auto array = checked_array<T>(py::reinterpret_borrow<py::object>(object), 1, writable, caller, name);
    return {static_cast<T*>(const_cast<void*>(array.data())), array.shape(0)};
}

// The entries of a tuple or list.
inline py::tuple parts_in(const py::object& object, const char* caller, const char* name) {
    if (!py::isinstance<py::sequence>(object) || py::isinstance<py::str>(object))
        throw py::type_error(concat(caller, ": ", name, " must be a tuple or a list; got ",
                                    std::string(py::str(py::type::of(object).attr("__name__")))));
    return py::tuple(object);
}

inline MatrixView<float> view_of(py::array_t<float>& array) {
    return {array.mutable_data(), array.shape(0), array.shape(1), array.shape(1)};
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
