"""What AWS charges, in dollars: us-east-1, list prices of 2026-10."""

#: Lambda, x86_64, per GB-second and per request (aws.amazon.com/lambda/pricing).
LAMBDA_GB_SECOND = 0.0000166667
LAMBDA_REQUEST = 0.20 / 1_000_000

#: Orchestration, events and cache of one run: an Express execution of 40 runs, three writes of 1 KB
#: (Step Functions Express $1 per M and $0.06 per GB-hour; DynamoDB $0.625 per M writes).
RUN_OVERHEAD = (1.0 / 40 + 3 * 0.625) / 1_000_000
