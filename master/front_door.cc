#include "front_door.h"

#include "config/front_door.h"

#include <fmt/format.h>

namespace bulkhead
{

void place_behind_front_door(EnvironmentPlan& plan, const EnvironmentPlan& primary)
{
    const bool is_primary = plan.config_directory == primary.config_directory;
    const std::string_view name = is_primary ? primary_name : std::string_view(plan.name);
    for (ServicePlan& service : plan.services) {
        if (service.type != ServiceType::pass || service.name != front_door_service)
            continue;
        for (Endpoint& endpoint : service.endpoints) {
            endpoint.path = fmt::format("{}/{}/{}", primary.queue_directory(), front_door_folder, name);
            endpoint.key = "unix " + endpoint.path;
            endpoint.is_inner = false;
            endpoint.folder_owner = FolderOwner{primary.owner, primary.owner_group};
        }
    }
}

} // namespace bulkhead
