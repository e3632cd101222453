#include "worker/explain.h"

#include "ipc/explain.h"
#include "log/log.h"
#include "os/files.h"
#include "table/decision.h"
#include "worker/worker.h"

#include <optional>

#include <sysexits.h>
#include <unistd.h>

namespace bulkhead
{

static constexpr std::size_t most_decisions = 1000;

static Task<> run(Worker* worker, const ipc::Message* question, std::optional<ipc::Message>* answer)
{
    ipc::Message told = co_await worker->explain(*question);
    answer->emplace(std::move(told));
    Loop::current().stop();
}

int explain_once(Worker& worker)
{
    const auto question = ipc::read_message(STDIN_FILENO);
    if (!question) {
        log::fatal("-E: " + question.error().context);
        return EX_USAGE;
    }
    std::vector<ipc::Because> decisions;
    listen_to_decisions([&decisions](const Decision& one) {
        if (decisions.size() < most_decisions)
            decisions.push_back({std::string(one.parameter), std::string(one.table), std::string(one.key),
                                 std::string(one.value)});
    });
    std::optional<ipc::Message> answer;
    Scope scope;
    scope.spawn(run, &worker, &*question, &answer);
    if (scope.size() > 0)
        Loop::current().run();
    listen_to_decisions({});
    if (!answer)
        return EX_SOFTWARE;
    for (const ipc::Because& one : decisions)
        ipc::add(*answer, one);
    std::string bytes;
    answer->encode(bytes);
    const auto written = write_all(STDOUT_FILENO, bytes);
    log::flush(true);
    return written ? EX_OK : EX_IOERR;
}

Task<ipc::Message> Worker::explain(const ipc::Message&)
{
    co_return ipc::failure("this program explains nothing");
}

} // namespace bulkhead
