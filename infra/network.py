"""Where machines start: a VPC without NAT that costs nothing at rest, or the user's own."""

from __future__ import annotations

from aws_cdk import Annotations
from aws_cdk import aws_ec2 as ec2
from constructs import Construct

from infra.logs import log_group
from infra.settings import Settings


class Network(Construct):
    """The VPC, the subnets machines start in, and a security group that lets nothing in."""

    def __init__(self, scope: Construct, id: str, *, settings: Settings) -> None:
        super().__init__(scope, id)
        self.vpc = _own(self, settings) if settings.vpc_id else _new(self, settings)
        self.subnets = ec2.SubnetSelection(subnets=self.vpc.public_subnets)
        self.security_group = ec2.SecurityGroup(
            self, "Machines", vpc=self.vpc, allow_all_outbound=True, description="Fanfold machines: no way in"
        )


def _own(scope: Construct, settings: Settings) -> ec2.IVpc:
    """By attributes, not by look-up: a look-up calls AWS during synthesis. Zones are not needed, only their number."""
    vpc = ec2.Vpc.from_vpc_attributes(
        scope,
        "Vpc",
        vpc_id=settings.vpc_id or "",
        availability_zones=[f"zone-{n}" for n in range(len(settings.subnet_ids))],
        public_subnet_ids=settings.subnet_ids,
    )
    for subnet in vpc.public_subnets:  # nothing here changes routes of yours
        Annotations.of(subnet).acknowledge_warning("@aws-cdk/aws-ec2:noSubnetRouteTableId")
    return vpc


def _new(scope: Construct, settings: Settings) -> ec2.Vpc:
    flow_logs = log_group(scope, "FlowLogs", settings=settings)
    return ec2.Vpc(
        scope,
        "Vpc",
        max_azs=2,  # as many as can be had without looking the region's zones up
        nat_gateways=0,
        subnet_configuration=[ec2.SubnetConfiguration(name="public", subnet_type=ec2.SubnetType.PUBLIC, cidr_mask=20)],
        gateway_endpoints={
            "S3": ec2.GatewayVpcEndpointOptions(service=ec2.GatewayVpcEndpointAwsService.S3),
            "DynamoDb": ec2.GatewayVpcEndpointOptions(service=ec2.GatewayVpcEndpointAwsService.DYNAMODB),
        },
        restrict_default_security_group=False,  # would need a custom resource, and nothing uses that group
        flow_logs={"All": ec2.FlowLogOptions(destination=ec2.FlowLogDestination.to_cloud_watch_logs(flow_logs))},
    )
