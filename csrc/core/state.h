// What an object must remember to go on to the same bits as if it had never stopped: arrays and counters with names. A
// class says once what it has,
//     void list_state(StateFields& fields);
// and that list serves both ways.
#pragma once

#include <algorithm>
#include <cstdint>
#include <functional>
#include <string>
#include <type_traits>
#include <vector>

#include "core/check.h"
#include "core/memory.h"

namespace fastcf {

class StateFields {
  public:
    // An array of host memory.
    struct Given {
        std::string name, type;
        std::int64_t size = 0;
        const void* data = nullptr;
    };
    struct Field {
        std::string name, type;  // the type is NumPy's name of it
        std::int64_t size = 0;
        bool best = false;   // of the best state: not there before one was saved
        std::string within;  // the counter that no entry exceeds, or none
        std::function<void(void*)> save;
        std::function<void(const void*)> load;
        std::function<void()> drop;
    };

    template <class T>
    void array(const std::string& name, DeviceArray<T>& values) {
        fields_.push_back(field_of(name, values, values.size()));
    }
    // Counters of rows, none of which exceeds the counter `within`, where there is one of that name.
    void row_counters(const std::string& name, DeviceArray<std::int64_t>& values, const std::string& within) {
        fields_.push_back(field_of(name, values, values.size()));
        fields_.back().within = within;
    }
    // The best state of an array of so many entries; who lists one lists `saved` too.
    template <class T>
    void best_array(const std::string& name, DeviceArray<T>& values, std::int64_t size) {
        Field field = field_of(name, values, size);
        field.best = true;
        field.drop = [&values] { values = DeviceArray<T>(); };
        fields_.push_back(field);
    }
    template <class Integer>
    void counter(const std::string& name, Integer& value) {
        number<std::int64_t>(
            name, [&value] { return static_cast<std::int64_t>(value); },
            [&value](std::int64_t to) { value = static_cast<Integer>(to); });
    }
    // Whether a best state was saved.
    void saved(bool& value) {
        saved_ = &value;
        number<std::int64_t>(
            kSaved, [&value] { return std::int64_t{value}; }, [&value](std::int64_t to) { value = to != 0; });
    }
    template <class T, class Get, class Set>
    void number(const std::string& name, Get get, Set set) {
        fields_.push_back({name,
                           type_name<T>(),
                           1,
                           false,
                           {},
                           [get](void* to) { *static_cast<T*>(to) = get(); },
                           [set](const void* from) { set(*static_cast<const T*>(from)); },
                           {}});
    }

    // Those that there are now.
    std::vector<Field> present() const { return those(saved_ != nullptr && *saved_); }

    // Takes all of a state, or nothing of it: throws std::invalid_argument, naming the caller and the array, unless it
    // has exactly the arrays that there are, of their types and sizes, and counters that can be.
    void restore(const std::vector<Given>& given, const std::string& caller) const {
        const auto find = [&](const std::string& name) {
            const auto found =
                std::find_if(given.begin(), given.end(), [&](const Given& each) { return each.name == name; });
            return found == given.end() ? nullptr : &*found;
        };
        const auto counters = [&](const Given& array) { return static_cast<const std::int64_t*>(array.data); };
        const auto check_one = [&](const Field& field) {
            const Given* const array = find(field.name);
            check(array != nullptr, caller, ": state must have the array '", field.name, "'");
            check(array->type == field.type, caller, ": ", field.name, " must have dtype ", field.type, "; got ",
                  array->type);
            check(array->size == field.size, caller, ": ", field.name, " must have ", field.size, " entries; got ",
                  array->size);
            if (field.type != type_name<std::int64_t>()) return;
            const Given* const limit = field.within.empty() ? nullptr : find(field.within);
            const std::int64_t most = field.name == kSaved ? 1 : limit == nullptr ? kMost : counters(*limit)[0];
            for (std::int64_t e = 0; e < array->size; ++e)
                check(counters(*array)[e] >= 0 && counters(*array)[e] <= most, caller, ": ", field.name,
                      " must lie in [0, ", most, "]; got ", counters(*array)[e], " at entry ", e);
        };
        // Numbers first: the others are judged by them.
        for (const Field& field : fields_)
            if (!field.best && field.within.empty()) check_one(field);
        const std::vector<Field> expected = those(saved_ != nullptr && counters(*find(kSaved))[0] != 0);
        for (const Field& field : expected) check_one(field);
        for (const Given& array : given)
            check(std::any_of(expected.begin(), expected.end(),
                              [&](const Field& field) { return field.name == array.name; }),
                  caller, ": state must not have the array '", array.name, "'");
        for (const Field& field : fields_)
            if (field.best) field.drop();
        for (const Field& field : expected) field.load(find(field.name)->data);
    }

  private:
    static constexpr const char* kSaved = "saved";
    static constexpr std::int64_t kMost = std::int64_t{1} << 62;  // of a counter, so that it can go on

    template <class T>
    static const char* type_name() {
        static_assert(std::is_same_v<T, float> || std::is_same_v<T, double> || std::is_same_v<T, std::int64_t>);
        return std::is_same_v<T, float> ? "float32" : std::is_same_v<T, double> ? "float64" : "int64";
    }
    template <class T>
    static Field field_of(const std::string& name, DeviceArray<T>& values, std::int64_t size) {
        return {name,
                type_name<T>(),
                size,
                false,
                {},
                [&values](void* to) { values.download(static_cast<T*>(to)); },
                [&values, size](const void* from) {
                    if (values.size() != size) values = DeviceArray<T>(size);
                    values.upload(static_cast<const T*>(from));
                },
                {}};
    }
    std::vector<Field> those(bool with_best) const {
        std::vector<Field> result;
        for (const Field& field : fields_)
            if (with_best || !field.best) result.push_back(field);
        return result;
    }

    std::vector<Field> fields_;
    bool* saved_ = nullptr;
};

}  // namespace fastcf
