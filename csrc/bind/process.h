// What every module's init does: connects core/interrupt.h with Python's signal handling, and core/parallel.h with the
// threads of the process.
#pragma once

#include <pybind11/pybind11.h>

#include "bind/gil.h"
#include "core/interrupt.h"
#include "core/parallel.h"

namespace fastcf::bind {

// An attribute of fastcf._ingest, which is always loaded: it has the pool of the process and lends it to the others.
inline constexpr const char* kThreadPool = "_thread_pool";

inline void borrow_thread_pool() {
    const pybind11::object lent = pybind11::module_::import("fastcf._ingest").attr(kThreadPool);
    thread_pool = static_cast<ThreadPool*>(PyCapsule_GetPointer(lent.ptr(), kThreadPool));
    if (thread_pool == nullptr) throw pybind11::error_already_set();
}

inline void install_process_hooks() {
    interrupt_hook = [] {
        return while_python_runs([] {
            const pybind11::gil_scoped_acquire gil;
            return PyErr_Occurred() != nullptr || PyErr_CheckSignals() != 0;
        });
    };
    pybind11::register_local_exception_translator([](std::exception_ptr error) {
        try {
            std::rethrow_exception(error);
        } catch (const Interrupted&) {
            if (PyErr_Occurred() == nullptr) PyErr_SetNone(PyExc_KeyboardInterrupt);
        } catch (const DeviceFailure& failure) {
            const auto type = pybind11::module_::import("fastcf.errors").attr("DeviceError");
            PyErr_SetString(type.ptr(), failure.what());
        }
    });
}

}  // namespace fastcf::bind
