// What `bulkhead route` has found out about a message, for people and as JSON.
#pragma once

#include "ipc/explain.h"

#include <string>
#include <utility>
#include <vector>

namespace bulkhead
{

// A stretch of the way: what came out, and why.
struct RouteStep {
    std::string name; // "relay permission"
    std::vector<std::pair<std::string, std::string>> facts;
    std::vector<ipc::Because> because;

    void add(std::string fact, std::string value) { facts.emplace_back(std::move(fact), std::move(value)); }
};

struct RouteReport {
    std::string environment;
    std::string directory;
    std::string sender; // external forms
    std::string recipient;
    std::vector<RouteStep> steps;
    std::string problem; // why mail would have to wait; empty: none
};

std::string route_text(const RouteReport& report);
std::string route_json(const RouteReport& report);

} // namespace bulkhead
