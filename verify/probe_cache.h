// Where the results of probes are: the table address_verify_map, or memory where that is
// empty.  All calls may block but those of a cache in memory; one process writes.
#pragma once

#include "known_address.h"

#include "table/writable_table.h"

#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>

namespace bulkhead
{

class ProbeCache
{
public:
    // Before the jail.
    static Result<std::unique_ptr<ProbeCache>> open(std::string_view table);

    // An address that is not there, or whose entry nobody can read: a default KnownAddress.
    Result<KnownAddress> find(std::string_view address);
    Result<> store(std::string_view address, const KnownAddress& known);
    Result<> remove(std::string_view address);

    // Removes what is expired, unless that was done less than `interval` seconds ago;
    // says how many entries went, nullopt: it was too early.
    Result<std::optional<std::size_t>> clean(std::int64_t now, std::int64_t interval,
                                             const VerifyTimes& times);

private:
    Result<std::optional<std::string>> get(std::string_view key);
    Result<> put(std::string_view key, std::string_view value);
    Result<std::optional<WritableTable::Entry>> after(std::string_view key);

    std::unique_ptr<WritableTable> table_;
    std::mutex mutex_; // of memory_
    std::map<std::string, std::string, std::less<>> memory_;
};

} // namespace bulkhead
