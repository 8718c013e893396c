// Trainers as Python classes. A trainer is made of data (arrays, which are arguments) and a struct of settings
// (keywords); what it has of the methods below is bound by register_methods().
#pragma once

#include <string>
#include <vector>

#include "bind/arrays.h"
#include "bind/gil.h"
#include "bind/settings.h"
#include "core/state.h"
#include "ops/optimizer.h"

namespace fastcf::bind {

// The keywords of a struct's optimiser.
template <class Settings, class... Members>
void add_optimizer(Keywords<Settings>& keywords, bool required, Members... optimizer) {
    if (required)
        keywords.required("optimizer", optimizer..., &Optimizer::kind);
    else
        keywords.optional("optimizer", optimizer..., &Optimizer::kind);
    keywords.optional("decay", optimizer..., &Optimizer::decay)
        .optional("second_decay", optimizer..., &Optimizer::second_decay)
        .optional("epsilon", optimizer..., &Optimizer::epsilon);
}

struct StateForm {
    static constexpr auto name = py::detail::const_name("dict[str, numpy.typing.NDArray[typing.Any]]");
};
using State = Formed<StateForm>;

template <class Trainer>
State get_state(Trainer& trainer) {
    StateFields fields;
    trainer.list_state(fields);
    const std::vector<StateFields::Field> present = fields.present();
    py::dict state;
    std::vector<void*> memory;
    for (const StateFields::Field& field : present) {
        py::array array(py::dtype(field.type), std::vector<py::ssize_t>{field.size});
        memory.push_back(array.mutable_data());
        state[field.name.c_str()] = array;
    }
    {
        const ReleasedGil release;
        for (std::size_t f = 0; f < present.size(); ++f) present[f].save(memory[f]);
    }
    return state;
}

template <class Trainer>
void set_state(Trainer& trainer, const py::object& state, const std::string& caller) {
    if (!py::isinstance<py::dict>(state))
        throw py::type_error(
            concat(caller, ": state must be a dict; got ", std::string(py::str(py::type::of(state).attr("__name__")))));
    std::vector<py::array> arrays;  // they live until all is copied
    std::vector<StateFields::Given> given;
    for (const auto& [key, value] : py::reinterpret_borrow<py::dict>(state)) {
        const std::string name = py::str(key);
        check(py::isinstance<py::array>(value), caller, ": ", name, " must be a NumPy array");
        arrays.push_back(py::reinterpret_borrow<py::array>(value));
        const py::array& array = arrays.back();
        check(array.ndim() == 1 && (array.flags() & py::array::c_style) != 0, caller, ": ", name,
              " must be C-contiguous and have 1 dimension; got ", array.ndim());
        given.push_back({name, py::str(array.dtype()), array.shape(0), array.data()});
    }
    StateFields fields;
    trainer.list_state(fields);
    const ReleasedGil release;
    fields.restore(given, caller);
}

// Methods that are named and called alike whatever is trained.
template <class Trainer>
void register_methods(py::class_<Trainer>& trainer, const char* name) {
    const auto without_gil = py::call_guard<ReleasedGil>();
    if constexpr (requires(Trainer& t) { t.penalty(); }) trainer.def("penalty", &Trainer::penalty, without_gil);
    const auto set_pairs = [&](const std::string& method, auto use) {
        trainer.def(
            method.c_str(),
            [caller = std::string(name) + "." + method, use](
                Trainer& self, const Array<std::int32_t>& users, const Array<std::int32_t>& items,
                const Array<float>& values, const ArrayOrNone<float>& weights) {
                use(self, vector_in<std::int32_t>(users, caller.c_str(), "users"),
                    vector_in<std::int32_t>(items, caller.c_str(), "items"),
                    vector_in<float>(values, caller.c_str(), "values"),
                    optional_vector_in<float>(weights, caller.c_str(), "weights"));
            },
            py::arg("users"), py::arg("items"), py::arg("values"), py::arg("weights") = py::none());
    };
    if constexpr (requires(Trainer& t, VectorView<const std::int32_t> rows, VectorView<const float> values) {
                      t.set_validation(rows, rows, values, values);
                  })
        set_pairs("set_validation", [](Trainer& self, const auto&... pairs) { self.set_validation(pairs...); });
    if constexpr (requires(Trainer& t) { t.validation_squared_error(); })
        trainer.def("validation_squared_error", &Trainer::validation_squared_error, without_gil);
    if constexpr (requires(Trainer& t) { t.validation_log_loss(); })
        trainer.def("validation_log_loss", &Trainer::validation_log_loss, without_gil);
    if constexpr (requires(Trainer& t) { t.sample_squared_error(); }) {
        set_pairs("set_sample", [](Trainer& self, const auto&... pairs) { self.set_sample(pairs...); });
        trainer.def("sample_squared_error", &Trainer::sample_squared_error, without_gil);
    }
    if constexpr (requires(Trainer& t) { t.sample_log_loss(); })
        trainer.def("sample_log_loss", &Trainer::sample_log_loss, without_gil);
    trainer.def("get_state", &get_state<Trainer>)
        .def(
            "set_state",
            [caller = std::string(name) + ".set_state"](Trainer& self, const State& state) {
                set_state(self, state, caller);
            },
            py::arg("state"));
    trainer.def("save_best", &Trainer::save_best, without_gil).def("restore_best", &Trainer::restore_best, without_gil);
}

// set_parameters and get_parameters of trainers whose parameters come in one argument: arrays_in(object, writable,
// caller) has the views of them.
template <class Parameters, class Trainer, class ArraysIn>
void register_parameters(py::class_<Trainer>& trainer, const char* name, ArraysIn arrays_in) {
    trainer.def(
        "set_parameters",
        [arrays_in, caller = std::string(name) + ".set_parameters"](Trainer& self, const Parameters& parameters) {
            const auto arrays = arrays_in(parameters, false, caller.c_str());
            const ReleasedGil release;
            self.set_parameters(arrays);
        },
        py::arg("parameters"));
    trainer.def(
        "get_parameters",
        [arrays_in, caller = std::string(name) + ".get_parameters"](Trainer& self, const Parameters& parameters) {
            const auto arrays = arrays_in(parameters, true, caller.c_str());
            const ReleasedGil release;
            self.get_parameters(arrays);
        },
        py::arg("parameters"));
}

}  // namespace fastcf::bind
