#include "bind/backend/register.h"
#include "bind/backend/trainer.h"
#include "train/sgd_trainer.h"

namespace fastcf::bind {
namespace {

SgdConfig sgd_config(const TrainerConfig& config, const char* caller, bool deterministic, const std::string& storage) {
    check(storage == "float32" || storage == "float16", caller, ": storage must be 'float32' or 'float16'; got '",
          storage, "'");
    return {config, deterministic, storage == "float16"};
}

}  // namespace

void register_sgd(py::module_& module) {
    register_trainer<SgdTrainer>(module, "SgdTrainer", sgd_config, py::arg("deterministic") = true,
                                 py::arg("storage") = "float32");
}

}  // namespace fastcf::bind
