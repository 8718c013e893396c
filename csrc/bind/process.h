// What every module's init does: connects core/interrupt.h with Python's signal handling, and core/parallel.h with
// fork.
#pragma once

#include <pybind11/pybind11.h>

#include "core/interrupt.h"
#include "core/parallel.h"

namespace fastcf::bind {

inline void install_process_hooks() {
    watch_for_forks();
    interrupt_hook = [] {
        const pybind11::gil_scoped_acquire gil;
        return PyErr_Occurred() != nullptr || PyErr_CheckSignals() != 0;
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
