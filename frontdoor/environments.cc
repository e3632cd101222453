#include "environments.h"

#include "config/front_door.h"

#include <fmt/format.h>

namespace bulkhead
{

Task<Result<std::unique_ptr<Stream>>> Environments::give(std::string environment, ipc::SessionState state,
                                                         int client)
{
    if (waiting_[environment] >= waiting_limit_)
        co_return Error(Fault::limit, "too many sessions wait for it");
    ++waiting_[environment];
    std::string path = fmt::format("{}/{}", front_door_folder, environment);
    auto channel = co_await ipc::hand_over(std::move(path), std::move(state), client, timeout_);
    if (--waiting_[environment] == 0)
        waiting_.erase(environment);
    co_return channel;
}

} // namespace bulkhead
