// One table and all who ask it: opened with the first question, opened again when its
// source changes, and never asked by so many at once that it could take all threads.
#pragma once

#include "async/task.h"
#include "async/wait.h"
#include "base/clock.h"
#include "table/proxy_protocol.h"
#include "table/table.h"
#include "table/writable_table.h"

#include <memory>
#include <string>

namespace bulkhead
{

class SharedTable
{
public:
    // The request says which table and how it is opened; writable: for proxywrite.
    SharedTable(const ProxyRequest& request, bool writable);

    // One request for this table.
    Task<ProxyReply> answer(const ProxyRequest& request);

private:
    // What is open now; a question that is under way keeps it when it is replaced.
    struct Opened {
        std::unique_ptr<Table> table;
        WritableTable* writable = nullptr; // the same, if it is one
    };

    Task<Result<std::shared_ptr<Opened>>> open();
    Result<std::shared_ptr<Opened>> open_now() const;
    static ProxyReply look_up(Opened& opened, const ProxyRequest& request);

    std::string spec_;
    TableOptions options_;
    bool writable_;
    std::shared_ptr<Opened> opened_; // shared with the questions under way
    Semaphore opening_{1};
    Semaphore turns_;
    SteadyTime next_look_;
    SteadyTime next_try_; // after a failure to open
    std::string trouble_;
};

} // namespace bulkhead
