#include "bind/backend/register.h"
#include "bind/backend/trainer.h"
#include "train/sgd_trainer.h"

namespace fastcf::bind {

void register_sgd(py::module_& module) {
    register_trainer<SgdTrainer>(
        module, "SgdTrainer", +[](const TrainerConfig& config, const char*) { return config; });
}

}  // namespace fastcf::bind
