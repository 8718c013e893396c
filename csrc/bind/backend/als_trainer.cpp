#include "train/als_trainer.h"

#include "bind/backend/register.h"
#include "bind/backend/trainer.h"

namespace fastcf::bind {
namespace {

AlsConfig als_config(const TrainerConfig& config, const char* caller, int cg_steps, const py::object& item_indptr,
                     const py::object& item_users, const py::object& item_values, const py::object& item_weights) {
    const auto offsets = vector_in<std::int64_t>(item_indptr, caller, "item_indptr");
    const auto users = vector_in<std::int32_t>(item_users, caller, "item_users");
    const auto values = vector_in<float>(item_values, caller, "item_values");
    check(offsets.size >= 1, caller, ": item_indptr must have at least one entry; got 0");
    check(values.size == users.size, caller, ": item_values must have as many entries as item_users (", users.size,
          "); got ", values.size);
    const CsrView by_item{offsets.data, users.data, values.data, offsets.size - 1, 0, users.size};
    return {config, cg_steps, by_item, optional_vector_in<float>(item_weights, caller, "item_weights")};
}

}  // namespace

void register_als_trainer(py::module_& module) {
    register_trainer<AlsTrainer>(module, "AlsTrainer", als_config, py::arg("cg_steps") = 0, py::arg("item_indptr"),
                                 py::arg("item_users"), py::arg("item_values"), py::arg("item_weights") = py::none());
}

}  // namespace fastcf::bind
