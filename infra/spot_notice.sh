#!/bin/sh
# Writes down EC2's notice that it takes this Spot machine back, as root on the host: containers cannot reach the
# metadata. https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/spot-instance-termination-notices.html
metadata=${1:-http://169.254.169.254}/latest
place=${2:-/run/fanfold}
mkdir -p "$place"
while :; do
  token=$(curl -sf -m 2 -X PUT -H 'X-aws-ec2-metadata-token-ttl-seconds: 60' "$metadata/api/token")
  # There is nothing there (404) for as long as EC2 leaves the machine alone.
  if notice=$(curl -sf -m 2 -H "X-aws-ec2-metadata-token: $token" "$metadata/meta-data/spot/instance-action"); then
    printf '%s\n' "$notice" > "$place/.new" && mv "$place/.new" "$place/instance-action"
  fi
  sleep "${3:-5}"
done
