#include "spool_environment.h"

#include "config/config.h"
#include "config/environment.h"
#include "spool_snapshot.h"

namespace bulkhead
{

Result<SpoolEnvironment> open_environment(const std::string& config_directory)
{
    TRY(const Config config, Config::load(config_directory, {}, "bulkhead"));
    TRY(Spool spool, open_configured_spool(config));
    std::string name = config.get("multi_instance_name");
    if (name.empty())
        name = "-";
    return SpoolEnvironment{.name = std::move(name),
                            .config_directory = config_directory,
                            .queue_directory = config.queue_directory(),
                            .log_file = config.get("maillog_file"),
                            .spool = std::move(spool)};
}

Result<std::vector<std::string>> environment_directories(const std::string& primary)
{
    TRY(const Config config, Config::load(primary, {}, "bulkhead"));
    std::vector<std::string> directories{primary};
    const std::vector<std::string> secondary = secondary_directories(config);
    directories.insert(directories.end(), secondary.begin(), secondary.end());
    return directories;
}

Result<QueueCounts> count_messages(const Spool& spool)
{
    QueueCounts counts;
    for (const Queue queue :
         {Queue::maildrop, Queue::incoming, Queue::active, Queue::deferred, Queue::hold, Queue::corrupt}) {
        const auto count = count_queue(spool, queue);
        if (count)
            counts.of(queue) = *count;
        else if (count.error().fault != Fault::not_found)
            return count.error();
    }
    return counts;
}

} // namespace bulkhead
