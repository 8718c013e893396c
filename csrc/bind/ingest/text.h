// What the bindings of text readers share: a text as bytes, and malformed lines as a Python exception.
#pragma once

#include <pybind11/gil_safe_call_once.h>
#include <pybind11/numpy.h>

#include "core/check.h"
#include "ingest/lines.h"

namespace fastcf::bind {

namespace py = pybind11;

// The bytes of anything with the buffer protocol (bytes, mmap), held for as long as this object lives.
class TextView {
  public:
    TextView(const py::buffer& text, const char* caller) : info_(text.request()) {
        check(info_.itemsize == 1 && info_.ndim == 1 && (info_.size == 0 || info_.strides[0] == 1), caller,
              ": text must be contiguous bytes");
    }
    const char* begin() const { return static_cast<const char*>(info_.ptr); }
    const char* end() const { return begin() + size(); }
    std::int64_t size() const { return info_.size; }

  private:
    py::buffer_info info_;
};

// ingest::ParseError becomes `ParseError(file, line, problem, text)` of this module, a ValueError; Python, which knows
// the file's name, turns it into fastcf.DataError.
inline void register_parse_error(py::module_& module) {
    PYBIND11_CONSTINIT static py::gil_safe_call_once_and_store<py::object> type;
    type.call_once_and_store_result(
        [&] { return py::exception<ingest::ParseError>(module, "ParseError", PyExc_ValueError); });
    py::register_local_exception_translator([](std::exception_ptr error) {
        try {
            std::rethrow_exception(error);
        } catch (const ingest::ParseError& e) {
            const auto decoded = [](const std::string& bytes) {
                return py::reinterpret_steal<py::object>(
                    PyUnicode_DecodeUTF8(bytes.data(), static_cast<Py_ssize_t>(bytes.size()), "replace"));
            };
            const py::tuple arguments = py::make_tuple(e.file, e.line, decoded(e.what()), decoded(e.text));
            PyErr_SetObject(type.get_stored().ptr(), arguments.ptr());
        }
    });
}

}  // namespace fastcf::bind
