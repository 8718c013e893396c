// Structs of settings by keyword. A table of names and fields is all there is to binding one: it reads keywords into
// the struct, refuses others by name, and writes the signature that stubs are made of.
#pragma once

#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <concepts>
#include <functional>
#include <string>
#include <type_traits>
#include <vector>

#include "bind/names.h"

namespace fastcf::bind {

namespace py = pybind11;

// The value of a keyword as a T; throws TypeError, naming caller and keyword, where it is of another type. Numbers are
// never cut: an int is no bool, a float no int.
template <class T>
T setting_in(const py::handle& value, const char* type, const char* caller, const char* name) {
    py::detail::make_caster<T> caster;
    const bool convert = !std::same_as<T, bool>;
    if (!caster.load(value, convert))
        throw py::type_error(
            concat(caller, ": ", name, " must be ", type, "; got ", std::string(py::repr(value)).substr(0, 100)));
    return py::detail::cast_op<T>(std::move(caster));
}

inline void read_setting(const py::handle& value, const char* caller, const char* name, bool& to) {
    to = setting_in<bool>(value, "a bool", caller, name);
}
template <std::integral T>
void read_setting(const py::handle& value, const char* caller, const char* name, T& to) {
    const char* type = std::unsigned_integral<T> ? "an int from 0 on" : "an int";
    if (PyBool_Check(value.ptr())) throw py::type_error(concat(caller, ": ", name, " must be ", type, "; got a bool"));
    to = setting_in<T>(value, type, caller, name);
}
template <std::floating_point T>
void read_setting(const py::handle& value, const char* caller, const char* name, T& to) {
    to = setting_in<T>(value, "a float", caller, name);
}
template <class T>
void read_setting(const py::handle& value, const char* caller, const char* name, std::vector<T>& to) {
    to =
        setting_in<std::vector<T>>(value, std::integral<T> ? "a sequence of int" : "a sequence of float", caller, name);
}
template <class Enum>
    requires std::is_enum_v<Enum>
void read_setting(const py::handle& value, const char* caller, const char* name, Enum& to) {
    to = named<Enum>(setting_in<std::string>(value, "a str", caller, name), caller, name);
}

template <class T>
std::string setting_type() {
    if constexpr (std::same_as<T, bool>)
        return "bool";
    else if constexpr (std::integral<T>)
        return "int";
    else if constexpr (std::floating_point<T>)
        return "float";
    else if constexpr (std::is_enum_v<T>)
        return "str";
    else
        return "collections.abc.Sequence[" + setting_type<typename T::value_type>() + "]";
}

template <class T>
std::string default_text(const T& value) {
    if constexpr (std::is_enum_v<T>)
        return concat("'", name_of(value), "'");
    else
        return std::string(py::repr(py::cast(value)));
}

template <class Settings>
class Keywords {
  public:
    // A keyword, and the way to its field by pointers to members: (&Training::optimizer, &Optimizer::decay).
    template <class... Members>
    Keywords& required(const char* name, Members... members) {
        return add(name, true, members...);
    }
    // Likewise; by default the field stays as the struct has it.
    template <class... Members>
    Keywords& optional(const char* name, Members... members) {
        return add(name, false, members...);
    }

    // Throws TypeError, naming the caller, for a keyword that there is not, one of another type, or one that is
    // missing.
    Settings read(const py::kwargs& keywords, const char* caller) const {
        Settings settings;
        for (const auto& [key, value] : keywords) {
            const auto name = key.template cast<std::string>();
            const Entry* const entry = find(name);
            if (entry == nullptr)
                throw py::type_error(concat(caller, ": there is no setting '", name, "'; there are ", names()));
            entry->read(value, caller, settings);
        }
        for (const Entry& entry : entries_)
            if (entry.required && !keywords.contains(entry.name.c_str()))
                throw py::type_error(concat(caller, ": ", entry.name, " must be given"));
        return settings;
    }

    // For the docstring of a function that takes them as **settings.
    std::string signature() const {
        std::string text = "Settings: ";
        for (const Entry& entry : entries_) text += (&entry == &entries_.front() ? "" : ", ") + entry.form;
        return text;
    }

  private:
    struct Entry {
        std::string name, form;
        bool required;
        std::function<void(const py::handle&, const char*, Settings&)> read;
    };

    template <class Outer, class Member>
    static auto& field(Outer& outer, Member member) {
        return outer.*member;
    }
    template <class Outer, class Member, class... Rest>
    static auto& field(Outer& outer, Member member, Rest... rest) {
        return field(outer.*member, rest...);
    }

    template <class... Members>
    Keywords& add(const char* name, bool required, Members... members) {
        Settings defaults;
        auto& value = field(defaults, members...);
        std::string form = concat(name, ": ", setting_type<std::remove_reference_t<decltype(value)>>());
        if (!required) form += " = " + default_text(value);
        entries_.push_back(
            {name, form, required, [name, members...](const py::handle& given, const char* caller, Settings& settings) {
                 read_setting(given, caller, name, field(settings, members...));
             }});
        return *this;
    }

    const Entry* find(const std::string& name) const {
        for (const Entry& entry : entries_)
            if (entry.name == name) return &entry;
        return nullptr;
    }
    std::string names() const {
        std::string text;
        for (const Entry& entry : entries_) text += (text.empty() ? "" : ", ") + entry.name;
        return text;
    }

    std::vector<Entry> entries_;
};

}  // namespace fastcf::bind
