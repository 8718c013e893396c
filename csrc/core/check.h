// Throwing checks: every public native function validates through these, so that no input can crash the interpreter.
#pragma once

#include <sstream>
#include <stdexcept>
#include <string>

namespace fastcf {

template <class... Parts>
std::string concat(const Parts&... parts) {
    std::ostringstream out;
    (out << ... << parts);
    return out.str();
}

// Throws std::invalid_argument (ValueError in Python) with the parts joined into one message, unless `ok`.
template <class... Parts>
void check(bool ok, const Parts&... parts) {
    if (!ok) [[unlikely]]
        throw std::invalid_argument(concat(parts...));
}

// Thrown when the caller asked to stop (Ctrl-C); the binding turns it into the pending Python exception.
struct Interrupted : std::runtime_error {
    Interrupted() : std::runtime_error("interrupted") {}
};

// Thrown where a device refuses: out of memory, a launch that failed. fastcf.DeviceError in Python.
struct DeviceFailure : std::runtime_error {
    using std::runtime_error::runtime_error;
};

}  // namespace fastcf
