"""Campaigns: senders, suppression, bounces; emails, audiences, recipients, tracking, sequences"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql
revision = '0003'
down_revision = '0002'
branch_labels = None
depends_on = None


STATES = "'pending', 'claimed', 'sending', 'sent', 'failed', 'unknown'"


def _allow_states(states: str) -> None:
    op.drop_constraint(op.f("ck_mail_mailstate"), "mail", type_="check")
    op.create_check_constraint(op.f("ck_mail_mailstate"), "mail", f"state IN ({states})")


def upgrade() -> None:
    _allow_states(f"{STATES}, 'suppressed'")
    op.create_table('audience',
    sa.Column('id', sa.BigInteger(), sa.Identity(always=False), nullable=False),
    sa.Column('name', sa.Text(), nullable=False),
    sa.Column('rules', postgresql.JSONB(astext_type=sa.Text()), nullable=False),
    sa.Column('created_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('updated_at', sa.DateTime(timezone=True), nullable=False),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_audience')),
    sa.UniqueConstraint('name', name=op.f('uq_audience_name'))
    )
    op.create_table('campaign_settings',
    sa.Column('id', sa.BigInteger(), autoincrement=False, nullable=False),
    sa.Column('approval', sa.Boolean(), nullable=False),
    sa.Column('double_opt_in', sa.Boolean(), nullable=False),
    sa.Column('utm', sa.Boolean(), nullable=False),
    sa.Column('archive', sa.Boolean(), nullable=False),
    sa.Column('time_zone', sa.Text(), nullable=False),
    sa.Column('embed_origins', sa.Text(), nullable=False),
    sa.CheckConstraint('id = 1', name=op.f('ck_campaign_settings_single_row')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_campaign_settings'))
    )
    op.create_table('mail_bounce',
    sa.Column('id', sa.BigInteger(), sa.Identity(always=False), nullable=False),
    sa.Column('key', sa.Text(), nullable=False),
    sa.Column('email', sa.Text(), nullable=False),
    sa.Column('code', sa.Text(), nullable=True),
    sa.Column('kind', sa.Enum('hard', 'soft', 'complaint', name='bouncekind', native_enum=False, create_constraint=True, length=40), nullable=False),
    sa.Column('status', sa.Text(), nullable=False),
    sa.Column('diagnostic', sa.Text(), nullable=False),
    sa.Column('source', sa.Text(), nullable=False),
    sa.Column('at', sa.DateTime(timezone=True), nullable=False),
    sa.CheckConstraint('email = lower(email)', name=op.f('ck_mail_bounce_email_folded')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_mail_bounce')),
    sa.UniqueConstraint('key', name=op.f('uq_mail_bounce_key'))
    )
    op.create_index('ix_mail_bounce_email', 'mail_bounce', ['email', 'at'], unique=False)
    op.create_table('mail_domain_limit',
    sa.Column('id', sa.BigInteger(), sa.Identity(always=False), nullable=False),
    sa.Column('domain', sa.Text(), nullable=False),
    sa.Column('per_second', sa.BigInteger(), nullable=False),
    sa.CheckConstraint('domain = lower(domain)', name=op.f('ck_mail_domain_limit_domain_folded')),
    sa.CheckConstraint('per_second > 0', name=op.f('ck_mail_domain_limit_per_second')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_mail_domain_limit')),
    sa.UniqueConstraint('domain', name=op.f('uq_mail_domain_limit_domain'))
    )
    op.create_table('mail_report',
    sa.Column('id', sa.BigInteger(), sa.Identity(always=False), nullable=False),
    sa.Column('key', sa.Text(), nullable=False),
    sa.Column('source', sa.Enum('mail', 'ses', 'sendgrid', name='reportsource', native_enum=False, create_constraint=True, length=40), nullable=False),
    sa.Column('content', sa.LargeBinary(), nullable=False),
    sa.Column('state', sa.Enum('waiting', 'done', 'unreadable', name='reportstate', native_enum=False, create_constraint=True, length=40), nullable=False),
    sa.Column('error', sa.Text(), nullable=True),
    sa.Column('received_at', sa.DateTime(timezone=True), nullable=False),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_mail_report')),
    sa.UniqueConstraint('key', name=op.f('uq_mail_report_key'))
    )
    op.create_index('ix_mail_report_received_at', 'mail_report', ['received_at'], unique=False)
    op.create_index('ix_mail_report_waiting', 'mail_report', ['id'], unique=False, postgresql_where=sa.text("state = 'waiting'"))
    op.create_index('ix_mail_report_unreadable', 'mail_report', ['id'], unique=False, postgresql_where=sa.text("state = 'unreadable'"))
    op.create_table('mail_sender',
    sa.Column('id', sa.BigInteger(), sa.Identity(always=False), nullable=False),
    sa.Column('name', sa.Text(), nullable=False),
    sa.Column('address', sa.Text(), nullable=False),
    sa.Column('reply_to', sa.Text(), nullable=True),
    sa.Column('is_default', sa.Boolean(), nullable=False),
    sa.Column('active', sa.Boolean(), nullable=False),
    sa.Column('per_second', sa.BigInteger(), nullable=True),
    sa.Column('per_day', sa.BigInteger(), nullable=True),
    sa.Column('domain_per_second', sa.BigInteger(), nullable=True),
    sa.Column('warmup_from', sa.Date(), nullable=True),
    sa.Column('warmup', postgresql.JSONB(astext_type=sa.Text()), nullable=False),
    sa.Column('created_at', sa.DateTime(timezone=True), nullable=False),
    sa.CheckConstraint('domain_per_second > 0', name=op.f('ck_mail_sender_domain_per_second')),
    sa.CheckConstraint('per_day > 0', name=op.f('ck_mail_sender_per_day')),
    sa.CheckConstraint('per_second > 0', name=op.f('ck_mail_sender_per_second')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_mail_sender')),
    sa.UniqueConstraint('address', name=op.f('uq_mail_sender_address'))
    )
    op.create_index('uq_mail_sender_default', 'mail_sender', ['is_default'], unique=True, postgresql_where=sa.text('is_default'))
    op.create_table('mail_suppression',
    sa.Column('id', sa.BigInteger(), sa.Identity(always=False), nullable=False),
    sa.Column('email', sa.Text(), nullable=False),
    sa.Column('scope', sa.Enum('all', 'marketing', name='suppressionscope', native_enum=False, create_constraint=True, length=40), nullable=False),
    sa.Column('reason', sa.Enum('bounce', 'complaint', 'manual', 'import', name='suppressionreason', native_enum=False, create_constraint=True, length=40), nullable=False),
    sa.Column('source', sa.Text(), nullable=False),
    sa.Column('detail', sa.Text(), nullable=False),
    sa.Column('at', sa.DateTime(timezone=True), nullable=False),
    sa.CheckConstraint('email = lower(email)', name=op.f('ck_mail_suppression_email_folded')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_mail_suppression')),
    sa.UniqueConstraint('email', name=op.f('uq_mail_suppression_email'))
    )
    op.create_table('person_tag',
    sa.Column('email', sa.Text(), nullable=False),
    sa.Column('tag', sa.Text(), nullable=False),
    sa.Column('created_at', sa.DateTime(timezone=True), nullable=False),
    sa.CheckConstraint('email = lower(email)', name=op.f('ck_person_tag_email_folded')),
    sa.CheckConstraint('tag = lower(tag)', name=op.f('ck_person_tag_tag_folded')),
    sa.PrimaryKeyConstraint('email', 'tag', name=op.f('pk_person_tag'))
    )
    op.create_index('ix_person_tag_tag', 'person_tag', ['tag'], unique=False)
    op.create_table('sequence',
    sa.Column('id', sa.BigInteger(), sa.Identity(always=False), nullable=False),
    sa.Column('name', sa.Text(), nullable=False),
    sa.Column('trigger', sa.Enum('member_joined', 'newsletter_joined', 'order_placed', name='sequencetrigger', native_enum=False, create_constraint=True, length=40), nullable=False),
    sa.Column('goal', sa.Enum('none', 'order_placed', 'link_clicked', name='sequencegoal', native_enum=False, create_constraint=True, length=40), nullable=False),
    sa.Column('active', sa.Boolean(), nullable=False),
    sa.Column('created_at', sa.DateTime(timezone=True), nullable=False),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_sequence')),
    sa.UniqueConstraint('name', name=op.f('uq_sequence_name'))
    )
    op.create_index('ix_sequence_trigger', 'sequence', ['trigger'], unique=False, postgresql_where=sa.text('active'))
    op.create_table('tracking_opt_out',
    sa.Column('email', sa.Text(), nullable=False),
    sa.CheckConstraint('email = lower(email)', name=op.f('ck_tracking_opt_out_email_folded')),
    sa.PrimaryKeyConstraint('email', name=op.f('pk_tracking_opt_out'))
    )
    op.create_table('email',
    sa.Column('id', sa.BigInteger(), sa.Identity(always=False), nullable=False),
    sa.Column('name', sa.Text(), nullable=False),
    sa.Column('type', sa.Enum('member', 'prospect', 'both', name='emailtype', native_enum=False, create_constraint=True, length=40), nullable=False),
    sa.Column('topic', sa.Enum('newsletter', 'offers', 'reminders', name='mailtopic', native_enum=False, create_constraint=True, length=40), nullable=False),
    sa.Column('state', sa.Enum('draft', 'ready', 'scheduled', 'sending', 'paused', 'sent', 'cancelled', 'automated', name='emailstate', native_enum=False, create_constraint=True, length=40), nullable=False),
    sa.Column('format', sa.Enum('markdown', 'html', 'mjml', name='emailformat', native_enum=False, create_constraint=True, length=40), nullable=False),
    sa.Column('with_layout', sa.Boolean(), nullable=False),
    sa.Column('sender_id', sa.BigInteger(), nullable=True),
    sa.Column('audience_id', sa.BigInteger(), nullable=True),
    sa.Column('exclude_id', sa.BigInteger(), nullable=True),
    sa.Column('track_opens', sa.Boolean(), nullable=False),
    sa.Column('track_clicks', sa.Boolean(), nullable=False),
    sa.Column('utm_campaign', sa.Text(), nullable=False),
    sa.Column('scheduled_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('window_from', sa.SmallInteger(), nullable=True),
    sa.Column('window_to', sa.SmallInteger(), nullable=True),
    sa.Column('in_recipients_zone', sa.Boolean(), nullable=False),
    sa.Column('ab_share', sa.SmallInteger(), nullable=True),
    sa.Column('ab_metric', sa.Enum('opens', 'clicks', name='abmetric', native_enum=False, create_constraint=True, length=40), nullable=False),
    sa.Column('ab_minutes', sa.BigInteger(), nullable=False),
    sa.Column('ab_decide_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('ab_winner', sa.SmallInteger(), nullable=True),
    sa.Column('public', sa.Boolean(), nullable=False),
    sa.Column('slug', sa.Text(), nullable=True),
    sa.Column('resend_of', sa.BigInteger(), nullable=True),
    sa.Column('population', sa.BigInteger(), nullable=False),
    sa.Column('populated_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('created_by', sa.Uuid(), nullable=True),
    sa.Column('ready_by', sa.Uuid(), nullable=True),
    sa.Column('ready_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('approved_by', sa.Uuid(), nullable=True),
    sa.Column('approved_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('started_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('finished_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('created_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('updated_at', sa.DateTime(timezone=True), nullable=False),
    sa.CheckConstraint("state <> 'scheduled' OR scheduled_at IS NOT NULL", name=op.f('ck_email_scheduled')),
    sa.CheckConstraint('ab_minutes > 0', name=op.f('ck_email_ab_minutes')),
    sa.CheckConstraint('ab_share BETWEEN 1 AND 100', name=op.f('ck_email_ab_share')),
    sa.CheckConstraint('window_from BETWEEN 0 AND 1439 AND window_to BETWEEN 1 AND 1440 AND window_from < window_to', name=op.f('ck_email_window')),
    sa.ForeignKeyConstraint(['approved_by'], ['user.id'], name=op.f('fk_email_approved_by_user')),
    sa.ForeignKeyConstraint(['audience_id'], ['audience.id'], name=op.f('fk_email_audience_id_audience')),
    sa.ForeignKeyConstraint(['created_by'], ['user.id'], name=op.f('fk_email_created_by_user')),
    sa.ForeignKeyConstraint(['exclude_id'], ['audience.id'], name=op.f('fk_email_exclude_id_audience')),
    sa.ForeignKeyConstraint(['ready_by'], ['user.id'], name=op.f('fk_email_ready_by_user')),
    sa.ForeignKeyConstraint(['resend_of'], ['email.id'], name=op.f('fk_email_resend_of_email')),
    sa.ForeignKeyConstraint(['sender_id'], ['mail_sender.id'], name=op.f('fk_email_sender_id_mail_sender')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_email')),
    sa.UniqueConstraint('slug', name=op.f('uq_email_slug'))
    )
    op.create_index('ix_email_approved_by', 'email', ['approved_by'], unique=False)
    op.create_index('ix_email_audience_id', 'email', ['audience_id'], unique=False)
    op.create_index('ix_email_created_by', 'email', ['created_by'], unique=False)
    op.create_index('ix_email_archive', 'email', ['finished_at'], unique=False, postgresql_where=sa.text("public AND state = 'sent' AND slug IS NOT NULL"))
    op.create_index('ix_email_due', 'email', ['scheduled_at'], unique=False, postgresql_where=sa.text("state = 'scheduled'"))
    op.create_index('ix_email_exclude_id', 'email', ['exclude_id'], unique=False)
    op.create_index('ix_email_live', 'email', ['id'], unique=False, postgresql_where=sa.text("state IN ('sending', 'automated')"))
    op.create_index('ix_email_ready_by', 'email', ['ready_by'], unique=False)
    op.create_index('ix_email_resend_of', 'email', ['resend_of'], unique=False)
    op.create_index('ix_email_sender_id', 'email', ['sender_id'], unique=False)
    op.create_index('ix_email_state', 'email', ['state', 'id'], unique=False)
    op.create_table('mail_sender_day',
    sa.Column('sender_id', sa.BigInteger(), nullable=False),
    sa.Column('day', sa.Date(), nullable=False),
    sa.Column('taken', sa.BigInteger(), nullable=False),
    sa.ForeignKeyConstraint(['sender_id'], ['mail_sender.id'], name=op.f('fk_mail_sender_day_sender_id_mail_sender')),
    sa.PrimaryKeyConstraint('sender_id', 'day', name=op.f('pk_mail_sender_day'))
    )
    op.create_table('sequence_run',
    sa.Column('id', sa.BigInteger(), sa.Identity(always=False), nullable=False),
    sa.Column('sequence_id', sa.BigInteger(), nullable=False),
    sa.Column('address', sa.Text(), nullable=False),
    sa.Column('step', sa.SmallInteger(), nullable=False),
    sa.Column('state', sa.Enum('active', 'done', 'goal', 'stopped', name='runstate', native_enum=False, create_constraint=True, length=40), nullable=False),
    sa.Column('due_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('started_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('ended_at', sa.DateTime(timezone=True), nullable=True),
    sa.CheckConstraint('address = lower(address)', name=op.f('ck_sequence_run_address_folded')),
    sa.ForeignKeyConstraint(['sequence_id'], ['sequence.id'], name=op.f('fk_sequence_run_sequence_id_sequence'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_sequence_run')),
    sa.UniqueConstraint('sequence_id', 'address', name=op.f('uq_sequence_run_sequence_id_address'))
    )
    op.create_index('ix_sequence_run_address', 'sequence_run', ['address'], unique=False)
    op.create_index('ix_sequence_run_due', 'sequence_run', ['due_at'], unique=False, postgresql_where=sa.text("state = 'active'"))
    op.create_table('email_link',
    sa.Column('email_id', sa.BigInteger(), nullable=False),
    sa.Column('number', sa.SmallInteger(), nullable=False),
    sa.Column('variant', sa.SmallInteger(), nullable=False),
    sa.Column('url', sa.Text(), nullable=False),
    sa.Column('trap', sa.Boolean(), nullable=False),
    sa.ForeignKeyConstraint(['email_id'], ['email.id'], name=op.f('fk_email_link_email_id_email'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('email_id', 'number', name=op.f('pk_email_link'))
    )
    op.create_table('email_recipient',
    sa.Column('email_id', sa.BigInteger(), autoincrement=False, nullable=False),
    sa.Column('id', sa.BigInteger(), sa.Identity(always=False), nullable=False),
    sa.Column('secret', sa.BigInteger(), nullable=False),
    sa.Column('address', sa.Text(), nullable=False),
    sa.Column('fields', postgresql.JSONB(astext_type=sa.Text()), nullable=False),
    sa.Column('variant', sa.SmallInteger(), nullable=False),
    sa.Column('state', sa.Enum('pending', 'claimed', 'sent', 'failed', 'unknown', 'suppressed', name='recipientstate', native_enum=False, create_constraint=True, length=40), nullable=False),
    sa.Column('attempts', sa.SmallInteger(), nullable=False),
    sa.Column('due_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('lease_id', sa.BigInteger(), nullable=True),
    sa.Column('smtp_reply', sa.Text(), nullable=True),
    sa.Column('sent_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('opened_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('clicked_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('bounced_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('complained_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('left_at', sa.DateTime(timezone=True), nullable=True),
    sa.CheckConstraint('address = lower(address)', name=op.f('ck_email_recipient_address_folded')),
    sa.PrimaryKeyConstraint('email_id', 'id', name=op.f('pk_email_recipient')),
    sa.UniqueConstraint('address', 'email_id', name=op.f('uq_email_recipient_address_email_id'))
    )
    op.create_index('ix_email_recipient_clicked', 'email_recipient', ['email_id', 'clicked_at'], unique=False, postgresql_where=sa.text('clicked_at IS NOT NULL'))
    op.create_index('ix_email_recipient_opened', 'email_recipient', ['email_id', 'opened_at'], unique=False, postgresql_where=sa.text('opened_at IS NOT NULL'))
    op.create_index('ix_email_recipient_due', 'email_recipient', ['email_id', 'due_at', 'id'], unique=False, postgresql_where=sa.text("state = 'pending'"))
    op.create_index('ix_email_recipient_trouble', 'email_recipient', ['email_id', 'id'], unique=False, postgresql_where=sa.text("state IN ('failed', 'unknown', 'suppressed')"))
    op.create_index('ix_email_recipient_lost', 'email_recipient', ['email_id', 'id'], unique=False, postgresql_where=sa.text("bounced_at IS NOT NULL OR complained_at IS NOT NULL OR left_at IS NOT NULL"))
    op.create_table('email_variant',
    sa.Column('email_id', sa.BigInteger(), nullable=False),
    sa.Column('number', sa.SmallInteger(), nullable=False),
    sa.Column('subject', sa.Text(), nullable=False),
    sa.Column('preheader', sa.Text(), nullable=False),
    sa.Column('body', sa.Text(), nullable=False),
    sa.Column('written_text', sa.Text(), nullable=False),
    sa.Column('html', sa.Text(), nullable=False),
    sa.Column('text', sa.Text(), nullable=False),
    sa.CheckConstraint('number BETWEEN 1 AND 8', name=op.f('ck_email_variant_number')),
    sa.ForeignKeyConstraint(['email_id'], ['email.id'], name=op.f('fk_email_variant_email_id_email'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('email_id', 'number', name=op.f('pk_email_variant'))
    )
    op.create_table('send_lease',
    sa.Column('id', sa.BigInteger(), sa.Identity(always=False), nullable=False),
    sa.Column('email_id', sa.BigInteger(), nullable=False),
    sa.Column('size', sa.BigInteger(), nullable=False),
    sa.Column('sent', sa.BigInteger(), nullable=False),
    sa.Column('failed', sa.BigInteger(), nullable=False),
    sa.Column('unknown', sa.BigInteger(), nullable=False),
    sa.Column('suppressed', sa.BigInteger(), nullable=False),
    sa.Column('expires_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('created_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('ended_at', sa.DateTime(timezone=True), nullable=True),
    sa.ForeignKeyConstraint(['email_id'], ['email.id'], name=op.f('fk_send_lease_email_id_email')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_send_lease'))
    )
    op.create_index('ix_send_lease_email_id', 'send_lease', ['email_id', 'id'], unique=False)
    op.create_index('ix_send_lease_ended_at', 'send_lease', ['ended_at'], unique=False)
    op.create_index('ix_send_lease_open', 'send_lease', ['expires_at'], unique=False, postgresql_where=sa.text('ended_at IS NULL'))
    op.create_table('sequence_step',
    sa.Column('id', sa.BigInteger(), sa.Identity(always=False), nullable=False),
    sa.Column('sequence_id', sa.BigInteger(), nullable=False),
    sa.Column('number', sa.SmallInteger(), nullable=False),
    sa.Column('wait_minutes', sa.BigInteger(), nullable=False),
    sa.Column('email_id', sa.BigInteger(), nullable=False),
    sa.CheckConstraint('wait_minutes >= 0', name=op.f('ck_sequence_step_wait_minutes')),
    sa.ForeignKeyConstraint(['email_id'], ['email.id'], name=op.f('fk_sequence_step_email_id_email')),
    sa.ForeignKeyConstraint(['sequence_id'], ['sequence.id'], name=op.f('fk_sequence_step_sequence_id_sequence'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_sequence_step')),
    sa.UniqueConstraint('email_id', name=op.f('uq_sequence_step_email_id')),
    sa.UniqueConstraint('sequence_id', 'number', name=op.f('uq_sequence_step_sequence_id_number'))
    )
    op.create_table('email_unsubscribe',
    sa.Column('id', sa.BigInteger(), sa.Identity(always=False), nullable=False),
    sa.Column('email_id', sa.BigInteger(), nullable=False),
    sa.Column('recipient_id', sa.BigInteger(), nullable=False),
    sa.Column('topic', sa.Enum('newsletter', 'offers', 'reminders', name='mailtopic', native_enum=False, create_constraint=True, length=40), nullable=False),
    sa.Column('way', sa.Enum('header', 'page', name='leaveway', native_enum=False, create_constraint=True, length=40), nullable=False),
    sa.Column('reason', sa.Enum('no_longer', 'never_signed_up', 'inappropriate', 'spam', 'other', 'unsaid', name='leavereason', native_enum=False, create_constraint=True, length=40), nullable=False),
    sa.Column('comment', sa.Text(), nullable=False),
    sa.Column('at', sa.DateTime(timezone=True), nullable=False),
    sa.ForeignKeyConstraint(['email_id', 'recipient_id'], ['email_recipient.email_id', 'email_recipient.id'], name=op.f('fk_email_unsubscribe_email_id_recipient_id_email_recipient'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_email_unsubscribe')),
    sa.UniqueConstraint('email_id', 'recipient_id', name=op.f('uq_email_unsubscribe_email_id_recipient_id'))
    )
    op.create_table('tracking_event',
    sa.Column('id', sa.BigInteger(), sa.Identity(always=False), nullable=False),
    sa.Column('event_id', sa.Uuid(), nullable=False),
    sa.Column('email_id', sa.BigInteger(), nullable=False),
    sa.Column('recipient_id', sa.BigInteger(), nullable=False),
    sa.Column('kind', sa.Enum('open', 'click', 'trap', name='trackingkind', native_enum=False, create_constraint=True, length=40), nullable=False),
    sa.Column('link', sa.SmallInteger(), nullable=True),
    sa.Column('method', sa.Text(), nullable=False),
    sa.Column('agent', sa.Text(), nullable=False),
    sa.Column('network', sa.Text(), nullable=False),
    sa.Column('human', sa.Boolean(), nullable=True),
    sa.Column('why', sa.Text(), nullable=False),
    sa.Column('at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('received_at', sa.DateTime(timezone=True), nullable=False),
    sa.ForeignKeyConstraint(['email_id', 'recipient_id'], ['email_recipient.email_id', 'email_recipient.id'], name=op.f('fk_tracking_event_email_id_recipient_id_email_recipient'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_tracking_event')),
    sa.UniqueConstraint('event_id', name=op.f('uq_tracking_event_event_id'))
    )
    op.create_index('ix_tracking_event_at', 'tracking_event', ['at'], unique=False)
    op.create_index('ix_tracking_event_judged', 'tracking_event', ['email_id', 'human', 'kind', 'link', 'recipient_id'], unique=False)
    op.create_index('ix_tracking_event_recipient', 'tracking_event', ['email_id', 'recipient_id', 'at'], unique=False)
    op.create_index('ix_tracking_event_undecided', 'tracking_event', ['received_at'], unique=False, postgresql_where=sa.text('human IS NULL'))
    op.create_table('email_order',
    sa.Column('order_id', sa.BigInteger(), autoincrement=False, nullable=False),
    sa.Column('email_id', sa.BigInteger(), nullable=False),
    sa.Column('recipient_id', sa.BigInteger(), nullable=False),
    sa.Column('credit', sa.Enum('click', 'open', name='ordercredit', native_enum=False, create_constraint=True, length=40), nullable=False),
    sa.Column('link', sa.SmallInteger(), nullable=True),
    sa.Column('acted_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('created_at', sa.DateTime(timezone=True), nullable=False),
    sa.ForeignKeyConstraint(['email_id', 'recipient_id'], ['email_recipient.email_id', 'email_recipient.id'], name=op.f('fk_email_order_email_id_recipient_id_email_recipient'), ondelete='CASCADE'),
    sa.ForeignKeyConstraint(['order_id'], ['order.id'], name=op.f('fk_email_order_order_id_order')),
    sa.PrimaryKeyConstraint('order_id', name=op.f('pk_email_order'))
    )
    op.create_index('ix_email_order_email_id', 'email_order', ['email_id', 'order_id'], unique=False)
    op.add_column('checkout', sa.Column('email_code', sa.Text(), nullable=True))
    op.drop_index(op.f('ix_contact_message_open'), table_name='contact_message', postgresql_where="((state)::text = 'new'::text)")
    op.add_column('prospect', sa.Column('country', sa.Text(), server_default='', nullable=False))
    op.add_column('prospect', sa.Column('time_zone', sa.Text(), server_default='', nullable=False))
    op.add_column('prospect', sa.Column('attributes', postgresql.JSONB(astext_type=sa.Text()), server_default='{}', nullable=False))


def downgrade() -> None:
    op.execute("UPDATE mail SET state = 'failed' WHERE state = 'suppressed'")
    _allow_states(STATES)
    op.drop_column('prospect', 'attributes')
    op.drop_column('prospect', 'time_zone')
    op.drop_column('prospect', 'country')
    op.create_index(op.f('ix_contact_message_open'), 'contact_message', ['id'], unique=False, postgresql_where="((state)::text = 'new'::text)")
    op.drop_column('checkout', 'email_code')
    op.drop_index('ix_email_order_email_id', table_name='email_order')
    op.drop_table('email_order')
    op.drop_index('ix_tracking_event_undecided', table_name='tracking_event', postgresql_where=sa.text('human IS NULL'))
    op.drop_index('ix_tracking_event_judged', table_name='tracking_event')
    op.drop_index('ix_tracking_event_recipient', table_name='tracking_event')
    op.drop_index('ix_tracking_event_at', table_name='tracking_event')
    op.drop_table('tracking_event')
    op.drop_table('email_unsubscribe')
    op.drop_table('sequence_step')
    op.drop_index('ix_send_lease_open', table_name='send_lease', postgresql_where=sa.text('ended_at IS NULL'))
    op.drop_index('ix_send_lease_ended_at', table_name='send_lease')
    op.drop_index('ix_send_lease_email_id', table_name='send_lease')
    op.drop_table('send_lease')
    op.drop_table('email_variant')
    op.drop_index('ix_email_recipient_lost', table_name='email_recipient', postgresql_where=sa.text("bounced_at IS NOT NULL OR complained_at IS NOT NULL OR left_at IS NOT NULL"))
    op.drop_index('ix_email_recipient_trouble', table_name='email_recipient', postgresql_where=sa.text("state IN ('failed', 'unknown', 'suppressed')"))
    op.drop_index('ix_email_recipient_opened', table_name='email_recipient', postgresql_where=sa.text('opened_at IS NOT NULL'))
    op.drop_index('ix_email_recipient_clicked', table_name='email_recipient', postgresql_where=sa.text('clicked_at IS NOT NULL'))
    op.drop_index('ix_email_recipient_due', table_name='email_recipient', postgresql_where=sa.text("state = 'pending'"))
    op.drop_table('email_recipient')
    op.drop_table('email_link')
    op.drop_index('ix_sequence_run_due', table_name='sequence_run', postgresql_where=sa.text("state = 'active'"))
    op.drop_index('ix_sequence_run_address', table_name='sequence_run')
    op.drop_table('sequence_run')
    op.drop_table('mail_sender_day')
    op.drop_index('ix_email_state', table_name='email')
    op.drop_index('ix_email_sender_id', table_name='email')
    op.drop_index('ix_email_resend_of', table_name='email')
    op.drop_index('ix_email_ready_by', table_name='email')
    op.drop_index('ix_email_live', table_name='email', postgresql_where=sa.text("state IN ('sending', 'automated')"))
    op.drop_index('ix_email_exclude_id', table_name='email')
    op.drop_index('ix_email_due', table_name='email', postgresql_where=sa.text("state = 'scheduled'"))
    op.drop_index('ix_email_archive', table_name='email', postgresql_where=sa.text("public AND state = 'sent' AND slug IS NOT NULL"))
    op.drop_index('ix_email_created_by', table_name='email')
    op.drop_index('ix_email_audience_id', table_name='email')
    op.drop_index('ix_email_approved_by', table_name='email')
    op.drop_table('email')
    op.drop_table('tracking_opt_out')
    op.drop_index('ix_sequence_trigger', table_name='sequence', postgresql_where=sa.text('active'))
    op.drop_table('sequence')
    op.drop_index('ix_person_tag_tag', table_name='person_tag')
    op.drop_table('person_tag')
    op.drop_table('mail_suppression')
    op.drop_index('uq_mail_sender_default', table_name='mail_sender', postgresql_where=sa.text('is_default'))
    op.drop_table('mail_sender')
    op.drop_index('ix_mail_report_unreadable', table_name='mail_report', postgresql_where=sa.text("state = 'unreadable'"))
    op.drop_index('ix_mail_report_waiting', table_name='mail_report', postgresql_where=sa.text("state = 'waiting'"))
    op.drop_index('ix_mail_report_received_at', table_name='mail_report')
    op.drop_table('mail_report')
    op.drop_table('mail_domain_limit')
    op.drop_index('ix_mail_bounce_email', table_name='mail_bounce')
    op.drop_table('mail_bounce')
    op.drop_table('campaign_settings')
    op.drop_table('audience')
