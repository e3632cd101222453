// What the client changes in mail on its way out: smtp_header_checks and its relatives, and
// the addresses of smtp_generic_maps (generic(5)).  The queue file stays as it is.
#pragma once

#include "params.h"

#include "content/inspector.h"
#include "table/local_domains.h"
#include "table/table.h"

#include <string>
#include <string_view>
#include <vector>

namespace bulkhead
{

// The tables, for all messages.
class OutputPolicy
{
public:
    // Opens tables: before the jail.
    static Result<OutputPolicy> open(const SmtpParams& params);

    bool is_needed() const { return !checks_.empty() || !generic_.empty(); }
    bool has_generic() const { return !generic_.empty(); }
    bool may_block() const { return checks_.may_block() || generic_.may_block() || local_.may_block(); }
    bool is_stale() const { return checks_.is_stale() || generic_.is_stale() || local_.is_stale(); }

    // What the outside knows this address as, internal form.
    Result<std::string> generic(const std::string& address);

private:
    friend class OutputFilter;

    ContentChecks checks_;
    InspectorOptions options_;
    TableList generic_;
    LocalDomains local_;
    std::string myorigin_;
    std::string delimiter_;
    std::size_t address_limit_ = 0;
    bool keeps_extension_ = false;
};

// One message.  Asks tables, logs nothing: may run on a pool thread.
class OutputFilter
{
public:
    // The policy outlives the filter.
    explicit OutputFilter(OutputPolicy& policy);

    // The next line or part of one; adds records to out.  Fault::broken: a table failed.
    Result<> line(std::string_view text, bool complete, std::string& out);
    Result<> finish(std::string& out);

    bool may_block() const { return policy_.may_block(); }

    // Log lines without queue id: "replace: header X: y: text".
    std::vector<std::string> take_log();

private:
    void map_addresses(std::string& raw);
    Result<> collect();

    OutputPolicy& policy_;
    ContentInspector inspector_;
    std::vector<std::string> log_;
    std::string failure_;
};

} // namespace bulkhead
