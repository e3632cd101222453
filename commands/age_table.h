// Recipients (or senders) of a queue counted by domain and by age, and the table of qshape.
// Values in, text out.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace bulkhead
{

struct AgeTableOptions {
    std::size_t buckets = 10;        // the last one has no upper end
    std::int64_t first_bucket = 300; // seconds that the first one spans
    bool linear = false;             // all span the same; else each boundary doubles
    bool parents = false;            // rows for parent domains, ".example.com"
    std::size_t min_subdomains = 5;  // that a parent must have for a row
    std::size_t width = 80;          // of a line, in columns; less is taken as 80
};

// "a@B.Example" is "b.example", what has no domain is itself, the empty address MAILER-DAEMON.
std::string counted_domain(std::string_view address);

class AgeTable
{
public:
    explicit AgeTable(const AgeTableOptions& options);

    // age in seconds; one from the future counts as new.
    void add(std::string_view domain, std::int64_t age);

    // The heading, the total, and the rows with the highest counts first; max_rows 0: all.
    std::string text(std::size_t max_rows = 0) const;

private:
    using Counts = std::vector<std::size_t>; // all, then one for each bucket
    void count_parents(std::string_view domain, std::size_t bucket);
    std::size_t bucket_of(std::int64_t age) const;

    AgeTableOptions options_;
    std::vector<std::int64_t> bounds_; // upper ends of all buckets but the last, seconds
    Counts total_;
    std::map<std::string, Counts, std::less<>> domains_;
    struct Parent {
        Counts counts;
        std::set<std::string, std::less<>> children;
    };
    std::map<std::string, Parent, std::less<>> parents_;
};

} // namespace bulkhead
