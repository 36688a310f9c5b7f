"""Billing: plans, subscriptions, invoices, and the chasing of failed payments."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql
revision = '0004'
down_revision = '0003'
branch_labels = None
depends_on = None


STATES = "'pending', 'claimed', 'sending', 'sent', 'failed', 'unknown', 'suppressed'"


def _allow_states(states: str) -> None:
    op.drop_constraint(op.f("ck_mail_mailstate"), "mail", type_="check")
    op.create_check_constraint(op.f("ck_mail_mailstate"), "mail", f"state IN ({states})")


def upgrade() -> None:
    _allow_states(f"{STATES}, 'withdrawn'")
    op.add_column("mail", sa.Column("withdrawn_at", sa.DateTime(timezone=True), nullable=True))
    op.execute("CREATE SEQUENCE sync_ticket AS bigint")
    op.add_column('shop', sa.Column('has_plans', sa.Boolean(), server_default=sa.text('false'), nullable=False))
    op.create_table('billing_difference',
    sa.Column('id', sa.BigInteger(), sa.Identity(always=False), nullable=False),
    sa.Column('kind', sa.Text(), nullable=False),
    sa.Column('stripe_id', sa.Text(), nullable=False),
    sa.Column('field', sa.Text(), nullable=False),
    sa.Column('ours', sa.Text(), nullable=True),
    sa.Column('theirs', sa.Text(), nullable=True),
    sa.Column('found_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('repaired_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('repaired_by', sa.Text(), nullable=True),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_billing_difference'))
    )
    op.create_index('ix_billing_difference_found_at', 'billing_difference', ['found_at'], unique=False)
    op.create_index('uq_billing_difference_open', 'billing_difference', ['kind', 'stripe_id', 'field'], unique=True, postgresql_where=sa.text('repaired_at IS NULL'))
    op.create_table('billing_discount',
    sa.Column('id', sa.Text(), nullable=False),
    sa.Column('coupon_id', sa.Text(), nullable=False),
    sa.Column('percent_off', sa.Double(), nullable=True),
    sa.Column('amount_off', sa.BigInteger(), nullable=True),
    sa.Column('duration', sa.Text(), nullable=False),
    sa.Column('start', sa.DateTime(timezone=True), nullable=False),
    sa.Column('end', sa.DateTime(timezone=True), nullable=True),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_billing_discount'))
    )
    op.create_table('billing_settings',
    sa.Column('id', sa.BigInteger(), autoincrement=False, nullable=False),
    sa.Column('offer', sa.Enum('none', 'pause', 'discount', name='canceloffer', native_enum=False, create_constraint=True, length=40), nullable=False),
    sa.Column('offer_percent', sa.SmallInteger(), nullable=False),
    sa.Column('offer_months', sa.SmallInteger(), nullable=False),
    sa.Column('pause_months', sa.SmallInteger(), nullable=False),
    sa.Column('cancel_at_period_end', sa.Boolean(), nullable=False),
    sa.Column('time_zone', sa.Text(), nullable=False),
    sa.CheckConstraint('id = 1', name=op.f('ck_billing_settings_single_row')),
    sa.CheckConstraint('offer_months BETWEEN 1 AND 24', name=op.f('ck_billing_settings_offer_months')),
    sa.CheckConstraint('offer_percent BETWEEN 1 AND 100', name=op.f('ck_billing_settings_offer_percent')),
    sa.CheckConstraint('pause_months BETWEEN 1 AND 12', name=op.f('ck_billing_settings_pause_months')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_billing_settings'))
    )
    op.create_table('list_reading',
    sa.Column('list', sa.Enum('events', 'invoices', name='stripelist', native_enum=False, create_constraint=True, length=40), nullable=False),
    sa.Column('read_until', sa.DateTime(timezone=True), nullable=False),
    sa.PrimaryKeyConstraint('list', name=op.f('pk_list_reading'))
    )
    op.create_table('dunning_policy',
    sa.Column('id', sa.BigInteger(), sa.Identity(always=False), nullable=False),
    sa.Column('rules', postgresql.JSONB(astext_type=sa.Text()), nullable=False),
    sa.Column('in_force', sa.Boolean(), nullable=False),
    sa.Column('note', sa.Text(), nullable=False),
    sa.Column('author', sa.Text(), nullable=False),
    sa.Column('created_at', sa.DateTime(timezone=True), nullable=False),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_dunning_policy'))
    )
    op.create_index('uq_dunning_policy_in_force', 'dunning_policy', [sa.literal_column('(true)')], unique=True, postgresql_where=sa.text('in_force'))
    op.create_table('plan',
    sa.Column('id', sa.BigInteger(), sa.Identity(always=False), nullable=False),
    sa.Column('slug', sa.Text(), nullable=False),
    sa.Column('name', sa.Text(), nullable=False),
    sa.Column('description', sa.Text(), nullable=False),
    sa.Column('features', postgresql.JSONB(astext_type=sa.Text()), nullable=False),
    sa.Column('limits', postgresql.JSONB(astext_type=sa.Text()), nullable=False),
    sa.Column('position', sa.BigInteger(), nullable=False),
    sa.Column('trial_days', sa.SmallInteger(), nullable=False),
    sa.Column('state', sa.Enum('draft', 'published', 'retired', name='planstate', native_enum=False, create_constraint=True, length=40), nullable=False),
    sa.Column('stripe_product_id', sa.Text(), nullable=True),
    sa.Column('synced_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('sync_error', sa.Text(), nullable=True),
    sa.Column('drift', postgresql.JSONB(astext_type=sa.Text()), nullable=False),
    sa.Column('created_at', sa.DateTime(timezone=True), nullable=False),
    sa.CheckConstraint('trial_days BETWEEN 0 AND 730', name=op.f('ck_plan_trial_days')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_plan')),
    sa.UniqueConstraint('slug', name=op.f('uq_plan_slug')),
    sa.UniqueConstraint('stripe_product_id', name=op.f('uq_plan_stripe_product_id'))
    )
    op.create_index('ix_plan_position', 'plan', ['position'], unique=False)
    op.create_table('subscription_point',
    sa.Column('id', sa.BigInteger(), sa.Identity(always=False), nullable=False),
    sa.Column('event_id', sa.Text(), nullable=False),
    sa.Column('event_type', sa.Text(), nullable=False),
    sa.Column('stripe_subscription_id', sa.Text(), nullable=False),
    sa.Column('stripe_customer_id', sa.Text(), nullable=False),
    sa.Column('at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('status', sa.Enum('incomplete', 'incomplete_expired', 'trialing', 'active', 'past_due', 'unpaid', 'paused', 'canceled', name='subscriptionstatus', native_enum=False, create_constraint=True, length=40), nullable=False),
    sa.Column('stripe_price_id', sa.Text(), nullable=False),
    sa.Column('interval', sa.Enum('day', 'week', 'month', 'year', name='interval', native_enum=False, create_constraint=True, length=40), nullable=False),
    sa.Column('interval_count', sa.SmallInteger(), nullable=False),
    sa.Column('currency', sa.Text(), nullable=False),
    sa.Column('unit_amount', sa.BigInteger(), nullable=False),
    sa.Column('quantity', sa.BigInteger(), nullable=False),
    sa.Column('paused', sa.Boolean(), nullable=False),
    sa.Column('discounts', postgresql.JSONB(astext_type=sa.Text()), nullable=False),
    sa.Column('cancellation_reason', sa.Text(), nullable=True),
    sa.Column('trial_end', sa.DateTime(timezone=True), nullable=True),
    sa.Column('previous', postgresql.JSONB(astext_type=sa.Text()), nullable=False),
    sa.Column('idle', sa.Boolean(), nullable=False),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_subscription_point')),
    sa.UniqueConstraint('event_id', name=op.f('uq_subscription_point_event_id'))
    )
    op.create_index('ix_subscription_point_at', 'subscription_point', ['at'], unique=False)
    op.create_index('ix_subscription_point_subscription', 'subscription_point', ['stripe_subscription_id', 'at'], unique=False)
    op.create_index('ix_subscription_point_telling', 'subscription_point', ['stripe_subscription_id', 'at'], unique=False, postgresql_where=sa.text('NOT idle'))
    op.create_table('billing_customer',
    sa.Column('id', sa.BigInteger(), sa.Identity(always=False), nullable=False),
    sa.Column('user_id', sa.Uuid(), nullable=True),
    sa.Column('stripe_customer_id', sa.Text(), nullable=True),
    sa.Column('email', sa.Text(), nullable=False),
    sa.Column('payment_method_id', sa.Text(), nullable=True),
    sa.Column('card_brand', sa.Text(), nullable=True),
    sa.Column('card_last4', sa.Text(), nullable=True),
    sa.Column('card_exp_month', sa.SmallInteger(), nullable=True),
    sa.Column('card_exp_year', sa.SmallInteger(), nullable=True),
    sa.Column('trial_used_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('deleted_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('synced_ticket', sa.BigInteger(), nullable=False),
    sa.Column('synced_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('created_at', sa.DateTime(timezone=True), nullable=False),
    sa.ForeignKeyConstraint(['user_id'], ['user.id'], name=op.f('fk_billing_customer_user_id_user'), ondelete='SET NULL'),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_billing_customer')),
    sa.UniqueConstraint('stripe_customer_id', name=op.f('uq_billing_customer_stripe_customer_id')),
    sa.UniqueConstraint('user_id', name=op.f('uq_billing_customer_user_id'))
    )
    op.create_index('ix_billing_customer_email', 'billing_customer', ['email'], unique=False)
    op.create_index('ix_billing_customer_card_expiry', 'billing_customer', ['card_exp_year', 'card_exp_month'], unique=False, postgresql_where=sa.text('card_exp_year IS NOT NULL'))
    op.create_table('plan_price',
    sa.Column('id', sa.BigInteger(), sa.Identity(always=False), nullable=False),
    sa.Column('plan_id', sa.BigInteger(), nullable=False),
    sa.Column('interval', sa.Enum('day', 'week', 'month', 'year', name='interval', native_enum=False, create_constraint=True, length=40), nullable=False),
    sa.Column('currency', sa.Text(), nullable=False),
    sa.Column('unit_amount', sa.BigInteger(), nullable=False),
    sa.Column('stripe_price_id', sa.Text(), nullable=True),
    sa.Column('created_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('retired_at', sa.DateTime(timezone=True), nullable=True),
    sa.CheckConstraint('unit_amount >= 0', name=op.f('ck_plan_price_unit_amount')),
    sa.ForeignKeyConstraint(['plan_id'], ['plan.id'], name=op.f('fk_plan_price_plan_id_plan')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_plan_price')),
    sa.UniqueConstraint('stripe_price_id', name=op.f('uq_plan_price_stripe_price_id'))
    )
    op.create_index('ix_plan_price_plan_id', 'plan_price', ['plan_id'], unique=False)
    op.create_index('uq_plan_price_in_force', 'plan_price', ['plan_id', 'interval', 'currency'], unique=True, postgresql_where=sa.text('retired_at IS NULL'))
    op.create_table('billing_checkout',
    sa.Column('id', sa.BigInteger(), sa.Identity(always=False), nullable=False),
    sa.Column('customer_id', sa.BigInteger(), nullable=False),
    sa.Column('purpose', sa.Enum('subscription', 'setup', name='checkoutpurpose', native_enum=False, create_constraint=True, length=40), nullable=False),
    sa.Column('plan_price_id', sa.BigInteger(), nullable=True),
    sa.Column('quantity', sa.BigInteger(), nullable=False),
    sa.Column('idempotency_key', sa.Text(), nullable=False),
    sa.Column('stripe_session_id', sa.Text(), nullable=True),
    sa.Column('url', sa.Text(), nullable=True),
    sa.Column('state', sa.Enum('open', 'complete', 'expired', name='checkoutstate', native_enum=False, create_constraint=True, length=40), nullable=False),
    sa.Column('expires_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('finished_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('created_at', sa.DateTime(timezone=True), nullable=False),
    sa.ForeignKeyConstraint(['customer_id'], ['billing_customer.id'], name=op.f('fk_billing_checkout_customer_id_billing_customer')),
    sa.ForeignKeyConstraint(['plan_price_id'], ['plan_price.id'], name=op.f('fk_billing_checkout_plan_price_id_plan_price')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_billing_checkout')),
    sa.UniqueConstraint('idempotency_key', name=op.f('uq_billing_checkout_idempotency_key')),
    sa.UniqueConstraint('stripe_session_id', name=op.f('uq_billing_checkout_stripe_session_id'))
    )
    op.create_index('ix_billing_checkout_customer_id', 'billing_checkout', ['customer_id'], unique=False)
    op.create_index('ix_billing_checkout_plan_price_id', 'billing_checkout', ['plan_price_id'], unique=False)
    op.create_index('uq_billing_checkout_open', 'billing_checkout', ['customer_id', 'purpose'], unique=True, postgresql_where=sa.text("state = 'open'"))
    op.create_table('billing_operation',
    sa.Column('id', sa.BigInteger(), sa.Identity(always=False), nullable=False),
    sa.Column('customer_id', sa.BigInteger(), nullable=False),
    sa.Column('kind', sa.Enum('change_plan', 'cancel', 'cancel_at_period_end', 'resume', 'pause', 'unpause', 'discount', 'set_default_card', 'pay_invoice', 'void_invoice', 'write_off', 'refund', name='operationkind', native_enum=False, create_constraint=True, length=40), nullable=False),
    sa.Column('target', sa.Text(), nullable=False),
    sa.Column('params', postgresql.JSONB(astext_type=sa.Text()), nullable=False),
    sa.Column('idempotency_key', sa.Text(), nullable=False),
    sa.Column('state', sa.Enum('requested', 'done', 'refused', name='operationstate', native_enum=False, create_constraint=True, length=40), nullable=False),
    sa.Column('attempts', sa.SmallInteger(), nullable=False),
    sa.Column('due_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('error', sa.Text(), nullable=True),
    sa.Column('actor', sa.Text(), nullable=False),
    sa.Column('finished_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('created_at', sa.DateTime(timezone=True), nullable=False),
    sa.ForeignKeyConstraint(['customer_id'], ['billing_customer.id'], name=op.f('fk_billing_operation_customer_id_billing_customer')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_billing_operation')),
    sa.UniqueConstraint('idempotency_key', name=op.f('uq_billing_operation_idempotency_key'))
    )
    op.create_index('ix_billing_operation_customer_id', 'billing_operation', ['customer_id', 'id'], unique=False)
    op.create_index('ix_billing_operation_requested', 'billing_operation', ['due_at'], unique=False, postgresql_where=sa.text("state = 'requested'"))
    op.create_index('ix_billing_operation_target', 'billing_operation', ['target', 'id'], unique=False)
    op.create_table('subscription',
    sa.Column('id', sa.BigInteger(), sa.Identity(always=False), nullable=False),
    sa.Column('stripe_id', sa.Text(), nullable=False),
    sa.Column('customer_id', sa.BigInteger(), nullable=False),
    sa.Column('plan_price_id', sa.BigInteger(), nullable=True),
    sa.Column('status', sa.Enum('incomplete', 'incomplete_expired', 'trialing', 'active', 'past_due', 'unpaid', 'paused', 'canceled', name='subscriptionstatus', native_enum=False, create_constraint=True, length=40), nullable=False),
    sa.Column('stripe_price_id', sa.Text(), nullable=False),
    sa.Column('stripe_product_id', sa.Text(), nullable=True),
    sa.Column('item_id', sa.Text(), nullable=False),
    sa.Column('interval', sa.Enum('day', 'week', 'month', 'year', name='interval', native_enum=False, create_constraint=True, length=40), nullable=False),
    sa.Column('interval_count', sa.SmallInteger(), nullable=False),
    sa.Column('currency', sa.Text(), nullable=False),
    sa.Column('unit_amount', sa.BigInteger(), nullable=False),
    sa.Column('quantity', sa.BigInteger(), nullable=False),
    sa.Column('discounts', postgresql.JSONB(astext_type=sa.Text()), nullable=False),
    sa.Column('annual_amount', sa.BigInteger(), nullable=False),
    sa.Column('started_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('current_period_start', sa.DateTime(timezone=True), nullable=False),
    sa.Column('current_period_end', sa.DateTime(timezone=True), nullable=False),
    sa.Column('trial_start', sa.DateTime(timezone=True), nullable=True),
    sa.Column('trial_end', sa.DateTime(timezone=True), nullable=True),
    sa.Column('cancel_at_period_end', sa.Boolean(), nullable=False),
    sa.Column('cancel_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('canceled_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('ended_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('cancellation_reason', sa.Text(), nullable=True),
    sa.Column('pause_behavior', sa.Text(), nullable=True),
    sa.Column('pause_resumes_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('default_payment_method', sa.Text(), nullable=True),
    sa.Column('latest_invoice', sa.Text(), nullable=True),
    sa.Column('livemode', sa.Boolean(), nullable=False),
    sa.Column('duplicate', sa.Boolean(), nullable=False),
    sa.Column('synced_ticket', sa.BigInteger(), nullable=False),
    sa.Column('synced_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('created_at', sa.DateTime(timezone=True), nullable=False),
    sa.CheckConstraint('quantity >= 0', name=op.f('ck_subscription_quantity')),
    sa.ForeignKeyConstraint(['customer_id'], ['billing_customer.id'], name=op.f('fk_subscription_customer_id_billing_customer')),
    sa.ForeignKeyConstraint(['plan_price_id'], ['plan_price.id'], name=op.f('fk_subscription_plan_price_id_plan_price')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_subscription')),
    sa.UniqueConstraint('stripe_id', name=op.f('uq_subscription_stripe_id'))
    )
    op.create_index('ix_subscription_customer_id', 'subscription', ['customer_id'], unique=False)
    op.create_index('ix_subscription_duplicate', 'subscription', ['stripe_id'], unique=False, postgresql_where=sa.text('duplicate'))
    op.create_index('ix_subscription_plan_price_id', 'subscription', ['plan_price_id'], unique=False)
    op.create_index('ix_subscription_status', 'subscription', ['status', 'id'], unique=False)
    op.create_index('ix_subscription_trial_end', 'subscription', ['trial_end'], unique=False, postgresql_where=sa.text("status = 'trialing'"))
    op.create_index('uq_subscription_live', 'subscription', ['customer_id'], unique=True, postgresql_where=sa.text("status NOT IN ('canceled', 'incomplete_expired') AND NOT duplicate"))
    op.create_table('billing_cancellation',
    sa.Column('id', sa.BigInteger(), sa.Identity(always=False), nullable=False),
    sa.Column('subscription_id', sa.BigInteger(), nullable=False),
    sa.Column('reason', sa.Enum('too_expensive', 'missing_features', 'switched_service', 'unused', 'customer_service', 'too_complex', 'low_quality', 'other', name='cancelreason', native_enum=False, create_constraint=True, length=40), nullable=False),
    sa.Column('comment', sa.Text(), nullable=False),
    sa.Column('offer', sa.Enum('none', 'pause', 'discount', name='canceloffer', native_enum=False, create_constraint=True, length=40), nullable=False),
    sa.Column('outcome', sa.Enum('stayed', 'cancelled', 'resumed', 'refused', name='canceloutcome', native_enum=False, create_constraint=True, length=40), nullable=False),
    sa.Column('at', sa.DateTime(timezone=True), nullable=False),
    sa.ForeignKeyConstraint(['subscription_id'], ['subscription.id'], name=op.f('fk_billing_cancellation_subscription_id_subscription')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_billing_cancellation'))
    )
    op.create_index('ix_billing_cancellation_subscription_id', 'billing_cancellation', ['subscription_id', 'id'], unique=False)
    op.create_table('entitlement',
    sa.Column('user_id', sa.Uuid(), nullable=False),
    sa.Column('subscription_id', sa.BigInteger(), nullable=True),
    sa.Column('plan_slug', sa.Text(), nullable=False),
    sa.Column('features', postgresql.JSONB(astext_type=sa.Text()), nullable=False),
    sa.Column('limits', postgresql.JSONB(astext_type=sa.Text()), nullable=False),
    sa.Column('owing', sa.Boolean(), nullable=False),
    sa.Column('walled_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('changed_at', sa.DateTime(timezone=True), nullable=False),
    sa.ForeignKeyConstraint(['subscription_id'], ['subscription.id'], name=op.f('fk_entitlement_subscription_id_subscription')),
    sa.ForeignKeyConstraint(['user_id'], ['user.id'], name=op.f('fk_entitlement_user_id_user'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('user_id', name=op.f('pk_entitlement'))
    )
    op.create_index('ix_entitlement_subscription_id', 'entitlement', ['subscription_id'], unique=False)
    op.create_table('invoice',
    sa.Column('id', sa.BigInteger(), sa.Identity(always=False), nullable=False),
    sa.Column('stripe_id', sa.Text(), nullable=False),
    sa.Column('customer_id', sa.BigInteger(), nullable=False),
    sa.Column('subscription_id', sa.BigInteger(), nullable=True),
    sa.Column('status', sa.Enum('draft', 'open', 'paid', 'uncollectible', 'void', name='invoicestatus', native_enum=False, create_constraint=True, length=40), nullable=False),
    sa.Column('number', sa.Text(), nullable=True),
    sa.Column('billing_reason', sa.Text(), nullable=False),
    sa.Column('currency', sa.Text(), nullable=False),
    sa.Column('subtotal', sa.BigInteger(), nullable=False),
    sa.Column('total', sa.BigInteger(), nullable=False),
    sa.Column('amount_due', sa.BigInteger(), nullable=False),
    sa.Column('amount_paid', sa.BigInteger(), nullable=False),
    sa.Column('amount_remaining', sa.BigInteger(), nullable=False),
    sa.Column('attempt_count', sa.SmallInteger(), nullable=False),
    sa.Column('next_payment_attempt', sa.DateTime(timezone=True), nullable=True),
    sa.Column('period_start', sa.DateTime(timezone=True), nullable=False),
    sa.Column('period_end', sa.DateTime(timezone=True), nullable=False),
    sa.Column('issued_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('finalized_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('paid_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('voided_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('marked_uncollectible_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('hosted_invoice_url', sa.Text(), nullable=True),
    sa.Column('invoice_pdf', sa.Text(), nullable=True),
    sa.Column('payment_intent', sa.Text(), nullable=True),
    sa.Column('processing', sa.Boolean(), nullable=False),
    sa.Column('lines', postgresql.JSONB(astext_type=sa.Text()), nullable=False),
    sa.Column('livemode', sa.Boolean(), nullable=False),
    sa.Column('synced_ticket', sa.BigInteger(), nullable=False),
    sa.Column('synced_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('created_at', sa.DateTime(timezone=True), nullable=False),
    sa.ForeignKeyConstraint(['customer_id'], ['billing_customer.id'], name=op.f('fk_invoice_customer_id_billing_customer')),
    sa.ForeignKeyConstraint(['subscription_id'], ['subscription.id'], name=op.f('fk_invoice_subscription_id_subscription')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_invoice')),
    sa.UniqueConstraint('stripe_id', name=op.f('uq_invoice_stripe_id'))
    )
    op.create_index('ix_invoice_customer_id', 'invoice', ['customer_id', 'issued_at'], unique=False)
    op.create_index('ix_invoice_issued_at', 'invoice', ['issued_at'], unique=False)
    op.create_index('ix_invoice_number', 'invoice', ['number'], unique=False)
    op.create_index('ix_invoice_open', 'invoice', ['id'], unique=False, postgresql_where=sa.text("status = 'open'"))
    op.create_index('ix_invoice_status', 'invoice', ['status', 'issued_at'], unique=False)
    op.create_index('ix_invoice_subscription_id', 'invoice', ['subscription_id'], unique=False)
    op.create_table('dunning_case',
    sa.Column('id', sa.BigInteger(), sa.Identity(always=False), nullable=False),
    sa.Column('invoice_id', sa.BigInteger(), nullable=False),
    sa.Column('subscription_id', sa.BigInteger(), nullable=True),
    sa.Column('customer_id', sa.BigInteger(), nullable=False),
    sa.Column('policy_id', sa.BigInteger(), nullable=False),
    sa.Column('state', sa.Enum('open', 'recovered', 'lost', 'voluntary', 'written_off', name='casestate', native_enum=False, create_constraint=True, length=40), nullable=False),
    sa.Column('amount', sa.BigInteger(), nullable=False),
    sa.Column('currency', sa.Text(), nullable=False),
    sa.Column('decline_code', sa.Text(), nullable=True),
    sa.Column('decline_kind', sa.Enum('try_again', 'needs_customer', 'authentication', 'never', name='declinekind', native_enum=False, create_constraint=True, length=40), nullable=False),
    sa.Column('opened_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('next_due_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('walled_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('paused_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('paused_until', sa.DateTime(timezone=True), nullable=True),
    sa.Column('excluded_reason', sa.Text(), nullable=True),
    sa.Column('excluded_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('left_alone', postgresql.JSONB(astext_type=sa.Text()), nullable=False),
    sa.Column('held_seconds', sa.BigInteger(), nullable=False),
    sa.Column('closed_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('cause', sa.Text(), nullable=True),
    sa.Column('channel', sa.Enum('mail', 'banner', 'wall', 'portal', 'retry', 'staff', 'other', name='channel', native_enum=False, create_constraint=True, length=40), nullable=True),
    sa.Column('step_key', sa.Text(), nullable=True),
    sa.Column('created_at', sa.DateTime(timezone=True), nullable=False),
    sa.CheckConstraint("(state = 'open') = (closed_at IS NULL)", name=op.f('ck_dunning_case_closed')),
    sa.ForeignKeyConstraint(['customer_id'], ['billing_customer.id'], name=op.f('fk_dunning_case_customer_id_billing_customer')),
    sa.ForeignKeyConstraint(['invoice_id'], ['invoice.id'], name=op.f('fk_dunning_case_invoice_id_invoice')),
    sa.ForeignKeyConstraint(['policy_id'], ['dunning_policy.id'], name=op.f('fk_dunning_case_policy_id_dunning_policy')),
    sa.ForeignKeyConstraint(['subscription_id'], ['subscription.id'], name=op.f('fk_dunning_case_subscription_id_subscription')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_dunning_case')),
    sa.UniqueConstraint('invoice_id', name=op.f('uq_dunning_case_invoice_id'))
    )
    op.create_index('ix_dunning_case_closed_at', 'dunning_case', ['closed_at'], unique=False)
    op.create_index('ix_dunning_case_customer_id', 'dunning_case', ['customer_id'], unique=False)
    op.create_index('ix_dunning_case_due', 'dunning_case', ['next_due_at'], unique=False, postgresql_where=sa.text("state = 'open'"))
    op.create_index('ix_dunning_case_policy_id', 'dunning_case', ['policy_id'], unique=False)
    op.create_index('ix_dunning_case_state', 'dunning_case', ['state', 'opened_at'], unique=False)
    op.create_index('ix_dunning_case_subscription_id', 'dunning_case', ['subscription_id'], unique=False)
    op.create_table('payment_attempt',
    sa.Column('id', sa.BigInteger(), sa.Identity(always=False), nullable=False),
    sa.Column('invoice_id', sa.BigInteger(), nullable=False),
    sa.Column('charge_id', sa.Text(), nullable=False),
    sa.Column('at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('amount', sa.BigInteger(), nullable=False),
    sa.Column('succeeded', sa.Boolean(), nullable=False),
    sa.Column('decline_code', sa.Text(), nullable=True),
    sa.Column('decline_kind', sa.Enum('try_again', 'needs_customer', 'authentication', 'never', name='declinekind', native_enum=False, create_constraint=True, length=40), nullable=True),
    sa.Column('payment_method_id', sa.Text(), nullable=True),
    sa.Column('card_brand', sa.Text(), nullable=True),
    sa.Column('card_last4', sa.Text(), nullable=True),
    sa.ForeignKeyConstraint(['invoice_id'], ['invoice.id'], name=op.f('fk_payment_attempt_invoice_id_invoice')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_payment_attempt')),
    sa.UniqueConstraint('charge_id', name=op.f('uq_payment_attempt_charge_id'))
    )
    op.create_index('ix_payment_attempt_decline_code', 'payment_attempt', ['decline_code', 'at'], unique=False)
    op.create_index('ix_payment_attempt_invoice_id', 'payment_attempt', ['invoice_id', 'at'], unique=False)
    op.create_table('card_link',
    sa.Column('id', sa.BigInteger(), sa.Identity(always=False), nullable=False),
    sa.Column('customer_id', sa.BigInteger(), nullable=False),
    sa.Column('case_id', sa.BigInteger(), nullable=True),
    sa.Column('token_hash', sa.Text(), nullable=False),
    sa.Column('channel', sa.Enum('mail', 'banner', 'wall', 'portal', 'retry', 'staff', 'other', name='channel', native_enum=False, create_constraint=True, length=40), nullable=False),
    sa.Column('step_key', sa.Text(), nullable=True),
    sa.Column('opened_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('used_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('expires_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('created_at', sa.DateTime(timezone=True), nullable=False),
    sa.ForeignKeyConstraint(['case_id'], ['dunning_case.id'], name=op.f('fk_card_link_case_id_dunning_case')),
    sa.ForeignKeyConstraint(['customer_id'], ['billing_customer.id'], name=op.f('fk_card_link_customer_id_billing_customer')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_card_link')),
    sa.UniqueConstraint('token_hash', name=op.f('uq_card_link_token_hash'))
    )
    op.create_index('ix_card_link_case_id', 'card_link', ['case_id'], unique=False)
    op.create_index('ix_card_link_customer_id', 'card_link', ['customer_id'], unique=False)
    op.create_index('ix_card_link_expires_at', 'card_link', ['expires_at'], unique=False)
    op.create_table('dunning_step',
    sa.Column('id', sa.BigInteger(), sa.Identity(always=False), nullable=False),
    sa.Column('case_id', sa.BigInteger(), nullable=False),
    sa.Column('key', sa.Text(), nullable=False),
    sa.Column('action', sa.Enum('mail', 'wall', 'end', name='stepaction', native_enum=False, create_constraint=True, length=40), nullable=False),
    sa.Column('state', sa.Enum('done', 'missed', 'withdrawn', 'suppressed', name='stepstate', native_enum=False, create_constraint=True, length=40), nullable=False),
    sa.Column('due_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('cause', sa.Text(), nullable=False),
    sa.ForeignKeyConstraint(['case_id'], ['dunning_case.id'], name=op.f('fk_dunning_step_case_id_dunning_case')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_dunning_step')),
    sa.UniqueConstraint('case_id', 'key', name=op.f('uq_dunning_step_case_id_key'))
    )
    op.create_index('ix_dunning_step_end', 'dunning_step', ['at'], unique=False, postgresql_where=sa.text("action = 'end'"))

def downgrade() -> None:
    op.execute("UPDATE mail SET state = 'suppressed' WHERE state = 'withdrawn'")
    _allow_states(STATES)
    op.drop_column("mail", "withdrawn_at")
    op.execute("DROP SEQUENCE sync_ticket")
    op.drop_column('shop', 'has_plans')
    op.drop_index('ix_dunning_step_end', table_name='dunning_step', postgresql_where=sa.text("action = 'end'"))
    op.drop_table('dunning_step')
    op.drop_index('ix_card_link_expires_at', table_name='card_link')
    op.drop_index('ix_card_link_customer_id', table_name='card_link')
    op.drop_index('ix_card_link_case_id', table_name='card_link')
    op.drop_table('card_link')
    op.drop_index('ix_payment_attempt_invoice_id', table_name='payment_attempt')
    op.drop_index('ix_payment_attempt_decline_code', table_name='payment_attempt')
    op.drop_table('payment_attempt')
    op.drop_index('ix_dunning_case_subscription_id', table_name='dunning_case')
    op.drop_index('ix_dunning_case_state', table_name='dunning_case')
    op.drop_index('ix_dunning_case_policy_id', table_name='dunning_case')
    op.drop_index('ix_dunning_case_due', table_name='dunning_case', postgresql_where=sa.text("state = 'open'"))
    op.drop_index('ix_dunning_case_customer_id', table_name='dunning_case')
    op.drop_index('ix_dunning_case_closed_at', table_name='dunning_case')
    op.drop_table('dunning_case')
    op.drop_index('ix_invoice_status', table_name='invoice')
    op.drop_index('ix_invoice_subscription_id', table_name='invoice')
    op.drop_index('ix_invoice_open', table_name='invoice', postgresql_where=sa.text("status = 'open'"))
    op.drop_index('ix_invoice_number', table_name='invoice')
    op.drop_index('ix_invoice_issued_at', table_name='invoice')
    op.drop_index('ix_invoice_customer_id', table_name='invoice')
    op.drop_table('invoice')
    op.drop_index('ix_entitlement_subscription_id', table_name='entitlement')
    op.drop_table('entitlement')
    op.drop_index('ix_billing_cancellation_subscription_id', table_name='billing_cancellation')
    op.drop_table('billing_cancellation')
    op.drop_index('uq_subscription_live', table_name='subscription', postgresql_where=sa.text("status NOT IN ('canceled', 'incomplete_expired') AND NOT duplicate"))
    op.drop_index('ix_subscription_trial_end', table_name='subscription', postgresql_where=sa.text("status = 'trialing'"))
    op.drop_index('ix_subscription_status', table_name='subscription')
    op.drop_index('ix_subscription_plan_price_id', table_name='subscription')
    op.drop_index('ix_subscription_duplicate', table_name='subscription', postgresql_where=sa.text('duplicate'))
    op.drop_index('ix_subscription_customer_id', table_name='subscription')
    op.drop_table('subscription')
    op.drop_index('ix_billing_operation_target', table_name='billing_operation')
    op.drop_index('ix_billing_operation_requested', table_name='billing_operation', postgresql_where=sa.text("state = 'requested'"))
    op.drop_index('ix_billing_operation_customer_id', table_name='billing_operation')
    op.drop_table('billing_operation')
    op.drop_index('uq_billing_checkout_open', table_name='billing_checkout', postgresql_where=sa.text("state = 'open'"))
    op.drop_index('ix_billing_checkout_plan_price_id', table_name='billing_checkout')
    op.drop_index('ix_billing_checkout_customer_id', table_name='billing_checkout')
    op.drop_table('billing_checkout')
    op.drop_index('uq_plan_price_in_force', table_name='plan_price', postgresql_where=sa.text('retired_at IS NULL'))
    op.drop_index('ix_plan_price_plan_id', table_name='plan_price')
    op.drop_table('plan_price')
    op.drop_index('ix_billing_customer_email', table_name='billing_customer')
    op.drop_index('ix_billing_customer_card_expiry', table_name='billing_customer', postgresql_where=sa.text('card_exp_year IS NOT NULL'))
    op.drop_table('billing_customer')
    op.drop_index('ix_subscription_point_telling', table_name='subscription_point', postgresql_where=sa.text('NOT idle'))
    op.drop_index('ix_subscription_point_subscription', table_name='subscription_point')
    op.drop_index('ix_subscription_point_at', table_name='subscription_point')
    op.drop_table('subscription_point')
    op.drop_index('ix_plan_position', table_name='plan')
    op.drop_table('plan')
    op.drop_index('uq_dunning_policy_in_force', table_name='dunning_policy', postgresql_where=sa.text('in_force'))
    op.drop_table('dunning_policy')
    op.drop_table('list_reading')
    op.drop_table('billing_settings')
    op.drop_table('billing_discount')
    op.drop_index('uq_billing_difference_open', table_name='billing_difference', postgresql_where=sa.text('repaired_at IS NULL'))
    op.drop_index('ix_billing_difference_found_at', table_name='billing_difference')
    op.drop_table('billing_difference')
