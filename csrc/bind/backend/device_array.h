// Arrays of Python's that lie in the device's memory, so that many calls can share one upload.
#pragma once

#include <vector>

#include "bind/arrays.h"
#include "core/memory.h"

namespace fastcf::bind {

struct HeldArray {
    DeviceArray<unsigned char> bytes;
    py::dtype dtype;
    std::vector<std::int64_t> shape;
};

// The held array, or null where the object is none. Throws unless dtype and dimensions are as asked for.
template <class T>
const HeldArray* held_array(const py::object& object, std::size_t ndim, const char* caller, const char* name) {
    if (!py::isinstance<HeldArray>(object)) return nullptr;
    const HeldArray& held = object.cast<const HeldArray&>();
    if (!held.dtype.is(py::dtype::of<T>()))
        throw py::type_error(concat(caller, ": ", name, " must have dtype ", std::string(py::str(py::dtype::of<T>())),
                                    "; got ", std::string(py::str(held.dtype))));
    check(held.shape.size() == ndim, caller, ": ", name, " must have ", ndim, " dimension(s); got ", held.shape.size());
    return &held;
}

// As matrix_in and vector_in, for arguments that a native function does not look into on the host.
template <class T>
MatrixView<const T> held_matrix_in(const py::object& object, const char* caller, const char* name) {
    if (const HeldArray* held = held_array<T>(object, 2, caller, name))
        return {reinterpret_cast<const T*>(held->bytes.data()), held->shape[0], held->shape[1], held->shape[1]};
    return matrix_in<T>(object, caller, name);
}

template <class T>
VectorView<const T> held_vector_in(const py::object& object, const char* caller, const char* name) {
    if (const HeldArray* held = held_array<T>(object, 1, caller, name))
        return {reinterpret_cast<const T*>(held->bytes.data()), held->shape[0]};
    return vector_in<T>(object, caller, name);
}

}  // namespace fastcf::bind
