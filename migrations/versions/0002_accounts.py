"""Accounts: sessions, ways in, terms, privacy, audit; advertisements and client events"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql
revision = '0002'
down_revision = '0001'
branch_labels = None
depends_on = None


# The audit can be added to and read; nobody changes or removes what it says. Nor do terms change
# that somebody may have agreed to.
APPEND_ONLY = """
CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% is append-only', TG_TABLE_NAME USING ERRCODE = 'restrict_violation';
END $$;
CREATE TRIGGER audit_entry_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_entry
FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER terms_of_use_published_stay BEFORE UPDATE OR DELETE ON terms_of_use
FOR EACH ROW WHEN (OLD.published_at IS NOT NULL) EXECUTE FUNCTION refuse_change();
"""
# Of several logins with one address the verified one keeps it, else the newest.
ONE_EACH = """
UPDATE "user" SET email = id || '@unverified.invalid' WHERE id IN (
    SELECT id FROM (
        SELECT id, row_number() OVER (
            PARTITION BY email ORDER BY email_verified_at IS NULL, created_at DESC
        ) AS place FROM "user"
    ) AS ranked WHERE place > 1
)
"""


def upgrade() -> None:
    op.create_table('ad',
    sa.Column('id', sa.BigInteger(), sa.Identity(always=False), nullable=False),
    sa.Column('code', sa.Text(), nullable=False),
    sa.Column('name', sa.Text(), nullable=False),
    sa.Column('landing', sa.Text(), nullable=False),
    sa.Column('active', sa.Boolean(), nullable=False),
    sa.Column('created_at', sa.DateTime(timezone=True), nullable=False),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_ad')),
    sa.UniqueConstraint('code', name=op.f('uq_ad_code'))
    )
    op.create_table('audit_entry',
    sa.Column('id', sa.BigInteger(), sa.Identity(always=False), nullable=False),
    sa.Column('at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('actor_id', sa.Uuid(), nullable=True),
    sa.Column('actor_kind', sa.Enum('staff', 'member', 'visitor', 'system', 'operator', name='actorkind', native_enum=False, create_constraint=True, length=40), nullable=False),
    sa.Column('action', sa.Text(), nullable=False),
    sa.Column('subject', sa.Text(), nullable=False),
    sa.Column('user_id', sa.Uuid(), nullable=True),
    sa.Column('details', postgresql.JSONB(astext_type=sa.Text()), nullable=False),
    sa.Column('network', sa.Text(), nullable=False),
    sa.Column('request_id', sa.Text(), nullable=True),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_audit_entry'))
    )
    op.create_index('ix_audit_entry_action', 'audit_entry', ['action', 'id'], unique=False)
    op.create_index('ix_audit_entry_actor_id', 'audit_entry', ['actor_id', 'id'], unique=False)
    op.create_index('ix_audit_entry_at', 'audit_entry', ['at'], unique=False)
    op.create_index('ix_audit_entry_subject', 'audit_entry', ['subject', 'id'], unique=False)
    op.create_index('ix_audit_entry_user_id', 'audit_entry', ['user_id', 'id'], unique=False)
    op.create_table('mail_consent',
    sa.Column('id', sa.BigInteger(), sa.Identity(always=False), nullable=False),
    sa.Column('email', sa.Text(), nullable=False),
    sa.Column('topic', sa.Enum('newsletter', 'offers', 'reminders', name='mailtopic', native_enum=False, create_constraint=True, length=40), nullable=False),
    sa.Column('wanted', sa.Boolean(), nullable=False),
    sa.Column('source', sa.Text(), nullable=False),
    sa.Column('at', sa.DateTime(timezone=True), nullable=False),
    sa.CheckConstraint('email = lower(email)', name=op.f('ck_mail_consent_email_folded')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_mail_consent'))
    )
    op.create_index('ix_mail_consent_email', 'mail_consent', ['email', 'topic', 'id'], unique=False)
    op.create_table('terms_of_use',
    sa.Column('id', sa.BigInteger(), sa.Identity(always=False), nullable=False),
    sa.Column('version', sa.Text(), nullable=False),
    sa.Column('title', sa.Text(), nullable=False),
    sa.Column('body', sa.Text(), nullable=False),
    sa.Column('summary', sa.Text(), nullable=False),
    sa.Column('published_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('created_at', sa.DateTime(timezone=True), nullable=False),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_terms_of_use')),
    sa.UniqueConstraint('version', name=op.f('uq_terms_of_use_version'))
    )
    op.create_index('ix_terms_of_use_published_at', 'terms_of_use', ['published_at'], unique=False, postgresql_where=sa.text('published_at IS NOT NULL'))
    op.create_table('client_event',
    sa.Column('id', sa.BigInteger(), sa.Identity(always=False), nullable=False),
    sa.Column('event_id', sa.Uuid(), nullable=False),
    sa.Column('kind', sa.Enum('page_view', 'button', 'link', 'script_error', name='clienteventkind', native_enum=False, create_constraint=True, length=40), nullable=False),
    sa.Column('visitor_id', sa.Uuid(), nullable=False),
    sa.Column('user_id', sa.Uuid(), nullable=True),
    sa.Column('path', sa.Text(), nullable=False),
    sa.Column('label', sa.Text(), nullable=False),
    sa.Column('ad_code', sa.Text(), nullable=True),
    sa.Column('email_code', sa.Text(), nullable=True),
    sa.Column('details', postgresql.JSONB(astext_type=sa.Text()), nullable=False),
    sa.Column('at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('received_at', sa.DateTime(timezone=True), nullable=False),
    sa.ForeignKeyConstraint(['user_id'], ['user.id'], name=op.f('fk_client_event_user_id_user')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_client_event')),
    sa.UniqueConstraint('event_id', name=op.f('uq_client_event_event_id'))
    )
    op.create_index('ix_client_event_at', 'client_event', ['at'], unique=False)
    op.create_index('ix_client_event_kind', 'client_event', ['kind', 'at'], unique=False)
    op.create_index('ix_client_event_user_id', 'client_event', ['user_id'], unique=False)
    op.create_index('ix_client_event_visitor_id', 'client_event', ['visitor_id'], unique=False)
    op.create_table('data_export',
    sa.Column('id', sa.Uuid(), nullable=False),
    sa.Column('user_id', sa.Uuid(), nullable=False),
    sa.Column('state', sa.Enum('requested', 'ready', 'deleted', name='exportstate', native_enum=False, create_constraint=True, length=40), nullable=False),
    sa.Column('file_name', sa.Text(), nullable=True),
    sa.Column('size', sa.BigInteger(), nullable=True),
    sa.Column('ready_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('expires_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('created_at', sa.DateTime(timezone=True), nullable=False),
    sa.ForeignKeyConstraint(['user_id'], ['user.id'], name=op.f('fk_data_export_user_id_user')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_data_export'))
    )
    op.create_index('ix_data_export_expires_at', 'data_export', ['expires_at'], unique=False, postgresql_where=sa.text("state = 'ready'"))
    op.create_index('ix_data_export_user_id', 'data_export', ['user_id'], unique=False)
    op.create_table('email_change',
    sa.Column('id', sa.BigInteger(), sa.Identity(always=False), nullable=False),
    sa.Column('user_id', sa.Uuid(), nullable=False),
    sa.Column('old_email', sa.Text(), nullable=False),
    sa.Column('new_email', sa.Text(), nullable=False),
    sa.Column('old_confirmed_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('new_confirmed_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('expires_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('done_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('cancelled_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('created_at', sa.DateTime(timezone=True), nullable=False),
    sa.ForeignKeyConstraint(['user_id'], ['user.id'], name=op.f('fk_email_change_user_id_user')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_email_change'))
    )
    op.create_index('ix_email_change_user_id', 'email_change', ['user_id'], unique=False)
    op.create_index('uq_email_change_open', 'email_change', ['user_id'], unique=True, postgresql_where=sa.text('done_at IS NULL AND cancelled_at IS NULL'))
    op.create_table('erasure',
    sa.Column('id', sa.BigInteger(), sa.Identity(always=False), nullable=False),
    sa.Column('user_id', sa.Uuid(), nullable=False),
    sa.Column('report', postgresql.JSONB(astext_type=sa.Text()), nullable=False),
    sa.Column('erased_at', sa.DateTime(timezone=True), nullable=False),
    sa.ForeignKeyConstraint(['user_id'], ['user.id'], name=op.f('fk_erasure_user_id_user')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_erasure')),
    sa.UniqueConstraint('user_id', name=op.f('uq_erasure_user_id'))
    )
    op.create_table('linked_identity',
    sa.Column('id', sa.BigInteger(), sa.Identity(always=False), nullable=False),
    sa.Column('user_id', sa.Uuid(), nullable=False),
    sa.Column('provider', sa.Enum('google', 'apple', name='identityprovider', native_enum=False, create_constraint=True, length=40), nullable=False),
    sa.Column('subject', sa.Text(), nullable=False),
    sa.Column('email', sa.Text(), nullable=False),
    sa.Column('last_used_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('created_at', sa.DateTime(timezone=True), nullable=False),
    sa.ForeignKeyConstraint(['user_id'], ['user.id'], name=op.f('fk_linked_identity_user_id_user')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_linked_identity')),
    sa.UniqueConstraint('provider', 'subject', name=op.f('uq_linked_identity_provider_subject')),
    sa.UniqueConstraint('user_id', 'provider', name=op.f('uq_linked_identity_user_id_provider'))
    )
    op.create_table('login_session',
    sa.Column('id', sa.Uuid(), nullable=False),
    sa.Column('user_id', sa.Uuid(), nullable=False),
    sa.Column('secret_hash', sa.Text(), nullable=False),
    sa.Column('method', sa.Enum('registered', 'password', 'passkey', 'google', 'apple', 'reset', name='loginmethod', native_enum=False, create_constraint=True, length=40), nullable=False),
    sa.Column('remember', sa.Boolean(), nullable=False),
    sa.Column('device', sa.Text(), nullable=False),
    sa.Column('network', sa.Text(), nullable=False),
    sa.Column('proven_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('second_factor_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('last_seen_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('expires_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('ended_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('end_reason', sa.Enum('logout', 'revoked', 'everywhere', 'password_changed', 'role_changed', 'shut_out', 'closed', 'idle', 'expired', name='sessionend', native_enum=False, create_constraint=True, length=40), nullable=True),
    sa.Column('created_at', sa.DateTime(timezone=True), nullable=False),
    sa.ForeignKeyConstraint(['user_id'], ['user.id'], name=op.f('fk_login_session_user_id_user')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_login_session')),
    sa.UniqueConstraint('secret_hash', name=op.f('uq_login_session_secret_hash'))
    )
    op.create_index('ix_login_session_open', 'login_session', ['expires_at'], unique=False, postgresql_where=sa.text('ended_at IS NULL'))
    op.create_index('ix_login_session_user_id', 'login_session', ['user_id', 'last_seen_at'], unique=False)
    op.create_table('passkey',
    sa.Column('id', sa.BigInteger(), sa.Identity(always=False), nullable=False),
    sa.Column('user_id', sa.Uuid(), nullable=False),
    sa.Column('credential_id', sa.LargeBinary(), nullable=False),
    sa.Column('public_key', sa.LargeBinary(), nullable=False),
    sa.Column('sign_count', sa.BigInteger(), nullable=False),
    sa.Column('transports', postgresql.JSONB(astext_type=sa.Text()), nullable=False),
    sa.Column('aaguid', sa.Text(), nullable=False),
    sa.Column('backed_up', sa.Boolean(), nullable=False),
    sa.Column('name', sa.Text(), nullable=False),
    sa.Column('last_used_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('created_at', sa.DateTime(timezone=True), nullable=False),
    sa.ForeignKeyConstraint(['user_id'], ['user.id'], name=op.f('fk_passkey_user_id_user')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_passkey')),
    sa.UniqueConstraint('credential_id', name=op.f('uq_passkey_credential_id'))
    )
    op.create_index('ix_passkey_user_id', 'passkey', ['user_id'], unique=False)
    op.create_table('recovery_code',
    sa.Column('id', sa.BigInteger(), sa.Identity(always=False), nullable=False),
    sa.Column('user_id', sa.Uuid(), nullable=False),
    sa.Column('code_hash', sa.Text(), nullable=False),
    sa.Column('used_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('created_at', sa.DateTime(timezone=True), nullable=False),
    sa.ForeignKeyConstraint(['user_id'], ['user.id'], name=op.f('fk_recovery_code_user_id_user')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_recovery_code')),
    sa.UniqueConstraint('user_id', 'code_hash', name=op.f('uq_recovery_code_user_id_code_hash'))
    )
    op.create_table('terms_agreement',
    sa.Column('id', sa.BigInteger(), sa.Identity(always=False), nullable=False),
    sa.Column('user_id', sa.Uuid(), nullable=False),
    sa.Column('terms_id', sa.BigInteger(), nullable=False),
    sa.Column('agreed_at', sa.DateTime(timezone=True), nullable=False),
    sa.ForeignKeyConstraint(['terms_id'], ['terms_of_use.id'], name=op.f('fk_terms_agreement_terms_id_terms_of_use')),
    sa.ForeignKeyConstraint(['user_id'], ['user.id'], name=op.f('fk_terms_agreement_user_id_user')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_terms_agreement')),
    sa.UniqueConstraint('user_id', 'terms_id', name=op.f('uq_terms_agreement_user_id_terms_id'))
    )
    op.create_index('ix_terms_agreement_terms_id', 'terms_agreement', ['terms_id'], unique=False)
    op.create_table('totp',
    sa.Column('user_id', sa.Uuid(), nullable=False),
    sa.Column('secret', sa.Text(), nullable=False),
    sa.Column('confirmed_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('last_step', sa.BigInteger(), nullable=False),
    sa.Column('created_at', sa.DateTime(timezone=True), nullable=False),
    sa.ForeignKeyConstraint(['user_id'], ['user.id'], name=op.f('fk_totp_user_id_user')),
    sa.PrimaryKeyConstraint('user_id', name=op.f('pk_totp'))
    )
    op.create_table('address',
    sa.Column('id', sa.BigInteger(), sa.Identity(always=False), nullable=False),
    sa.Column('member_id', sa.BigInteger(), nullable=False),
    sa.Column('name', sa.Text(), nullable=False),
    sa.Column('line1', sa.Text(), nullable=False),
    sa.Column('line2', sa.Text(), nullable=False),
    sa.Column('city', sa.Text(), nullable=False),
    sa.Column('state', sa.Text(), nullable=False),
    sa.Column('postal_code', sa.Text(), nullable=False),
    sa.Column('country', sa.Text(), nullable=False),
    sa.Column('phone', sa.Text(), nullable=False),
    sa.Column('is_default', sa.Boolean(), nullable=False),
    sa.Column('created_at', sa.DateTime(timezone=True), nullable=False),
    sa.ForeignKeyConstraint(['member_id'], ['member.id'], name=op.f('fk_address_member_id_member')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_address'))
    )
    op.create_index('ix_address_member_id', 'address', ['member_id'], unique=False)
    op.create_index('uq_address_default', 'address', ['member_id'], unique=True, postgresql_where=sa.text('is_default'))
    op.create_table('contact_message',
    sa.Column('id', sa.BigInteger(), sa.Identity(always=False), nullable=False),
    sa.Column('prospect_id', sa.BigInteger(), nullable=False),
    sa.Column('name', sa.Text(), nullable=False),
    sa.Column('email', sa.Text(), nullable=False),
    sa.Column('subject', sa.Text(), nullable=False),
    sa.Column('text', sa.Text(), nullable=False),
    sa.Column('state', sa.Enum('new', 'answered', 'held', 'spam', name='contactstate', native_enum=False, create_constraint=True, length=40), nullable=False),
    sa.Column('why_held', sa.Text(), nullable=False),
    sa.Column('handled_by', sa.Uuid(), nullable=True),
    sa.Column('handled_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('created_at', sa.DateTime(timezone=True), nullable=False),
    sa.ForeignKeyConstraint(['handled_by'], ['user.id'], name=op.f('fk_contact_message_handled_by_user')),
    sa.ForeignKeyConstraint(['prospect_id'], ['prospect.id'], name=op.f('fk_contact_message_prospect_id_prospect')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_contact_message'))
    )
    op.create_index('ix_contact_message_handled_by', 'contact_message', ['handled_by'], unique=False)
    op.create_index('ix_contact_message_open', 'contact_message', ['id'], unique=False, postgresql_where=sa.text("state = 'new'"))
    op.create_index('ix_contact_message_prospect_id', 'contact_message', ['prospect_id'], unique=False)
    op.create_index('ix_contact_message_state', 'contact_message', ['state', 'id'], unique=False)
    op.create_table('person_note',
    sa.Column('id', sa.BigInteger(), sa.Identity(always=False), nullable=False),
    sa.Column('member_id', sa.BigInteger(), nullable=True),
    sa.Column('prospect_id', sa.BigInteger(), nullable=True),
    sa.Column('author_id', sa.Uuid(), nullable=False),
    sa.Column('text', sa.Text(), nullable=False),
    sa.Column('created_at', sa.DateTime(timezone=True), nullable=False),
    sa.CheckConstraint('(member_id IS NULL) <> (prospect_id IS NULL)', name=op.f('ck_person_note_one_person')),
    sa.ForeignKeyConstraint(['author_id'], ['user.id'], name=op.f('fk_person_note_author_id_user')),
    sa.ForeignKeyConstraint(['member_id'], ['member.id'], name=op.f('fk_person_note_member_id_member')),
    sa.ForeignKeyConstraint(['prospect_id'], ['prospect.id'], name=op.f('fk_person_note_prospect_id_prospect')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_person_note'))
    )
    op.create_index('ix_person_note_author_id', 'person_note', ['author_id'], unique=False)
    op.create_index('ix_person_note_member_id', 'person_note', ['member_id'], unique=False)
    op.create_index('ix_person_note_prospect_id', 'person_note', ['prospect_id'], unique=False)
    op.add_column('member', sa.Column('phone', sa.Text(), server_default='', nullable=False))
    op.alter_column('member', 'phone', server_default=None)
    op.add_column('mail', sa.Column('secret', sa.Boolean(), server_default=sa.text('false'), nullable=False))
    op.add_column('prospect', sa.Column('member_id', sa.BigInteger(), nullable=True))
    op.add_column('prospect', sa.Column('converted_at', sa.DateTime(timezone=True), nullable=True))
    op.add_column('prospect', sa.Column('erased_at', sa.DateTime(timezone=True), nullable=True))
    op.create_index('ix_prospect_member_id', 'prospect', ['member_id'], unique=False)
    op.create_foreign_key(op.f('fk_prospect_member_id_member'), 'prospect', 'member', ['member_id'], ['id'])
    op.add_column('shop', sa.Column('staff_second_factor', sa.Boolean(), server_default=sa.text('false'), nullable=False))
    op.add_column('shop', sa.Column('record_client_events', sa.Boolean(), server_default=sa.text('true'), nullable=False))
    op.add_column('user', sa.Column('email_verified_at', sa.DateTime(timezone=True), nullable=True))
    op.add_column('user', sa.Column('password_changed_at', sa.DateTime(timezone=True), nullable=True))
    op.add_column('user', sa.Column('closed_at', sa.DateTime(timezone=True), nullable=True))
    op.add_column('user', sa.Column('erase_after', sa.DateTime(timezone=True), nullable=True))
    op.add_column('user', sa.Column('erased_at', sa.DateTime(timezone=True), nullable=True))
    # Until now every login was made by the operator, for an address they know.
    op.execute('UPDATE "user" SET email_verified_at = created_at')
    op.create_check_constraint(op.f('ck_user_staff_verified'), 'user', 'role IS NULL OR email_verified_at IS NOT NULL')
    op.drop_constraint(op.f('uq_user_email'), 'user', type_='unique')
    op.create_index('ix_user_email', 'user', ['email', 'created_at'], unique=False)
    op.create_index('ix_user_erase_after', 'user', ['erase_after'], unique=False, postgresql_where=sa.text('erased_at IS NULL'))
    op.create_index('ix_user_role', 'user', ['role'], unique=False, postgresql_where=sa.text('role IS NOT NULL'))
    op.create_index('ix_user_unverified', 'user', ['created_at'], unique=False, postgresql_where=sa.text('email_verified_at IS NULL'))
    op.create_index('uq_user_verified_email', 'user', ['email'], unique=True, postgresql_where=sa.text('email_verified_at IS NOT NULL'))
    op.execute(APPEND_ONLY)


def downgrade() -> None:
    op.execute('DROP TRIGGER audit_entry_append_only ON audit_entry; DROP TRIGGER terms_of_use_published_stay ON terms_of_use; DROP FUNCTION refuse_change()')
    op.execute(ONE_EACH)
    op.drop_constraint(op.f('ck_user_staff_verified'), 'user', type_='check')
    op.drop_column('mail', 'secret')
    op.drop_index('uq_user_verified_email', table_name='user', postgresql_where=sa.text('email_verified_at IS NOT NULL'))
    op.drop_index('ix_user_unverified', table_name='user', postgresql_where=sa.text('email_verified_at IS NULL'))
    op.drop_index('ix_user_role', table_name='user', postgresql_where=sa.text('role IS NOT NULL'))
    op.drop_index('ix_user_erase_after', table_name='user', postgresql_where=sa.text('erased_at IS NULL'))
    op.drop_index('ix_user_email', table_name='user')
    op.create_unique_constraint(op.f('uq_user_email'), 'user', ['email'], postgresql_nulls_not_distinct=False)
    op.drop_column('user', 'erased_at')
    op.drop_column('user', 'erase_after')
    op.drop_column('user', 'closed_at')
    op.drop_column('user', 'password_changed_at')
    op.drop_column('user', 'email_verified_at')
    op.drop_column('shop', 'record_client_events')
    op.drop_column('shop', 'staff_second_factor')
    op.drop_constraint(op.f('fk_prospect_member_id_member'), 'prospect', type_='foreignkey')
    op.drop_index('ix_prospect_member_id', table_name='prospect')
    op.drop_column('prospect', 'erased_at')
    op.drop_column('prospect', 'converted_at')
    op.drop_column('prospect', 'member_id')
    op.drop_column('member', 'phone')
    op.drop_index('ix_person_note_prospect_id', table_name='person_note')
    op.drop_index('ix_person_note_member_id', table_name='person_note')
    op.drop_index('ix_person_note_author_id', table_name='person_note')
    op.drop_table('person_note')
    op.drop_index('ix_contact_message_state', table_name='contact_message')
    op.drop_index('ix_contact_message_prospect_id', table_name='contact_message')
    op.drop_index('ix_contact_message_open', table_name='contact_message', postgresql_where=sa.text("state = 'new'"))
    op.drop_index('ix_contact_message_handled_by', table_name='contact_message')
    op.drop_table('contact_message')
    op.drop_index('uq_address_default', table_name='address', postgresql_where=sa.text('is_default'))
    op.drop_index('ix_address_member_id', table_name='address')
    op.drop_table('address')
    op.drop_table('totp')
    op.drop_index('ix_terms_agreement_terms_id', table_name='terms_agreement')
    op.drop_table('terms_agreement')
    op.drop_table('recovery_code')
    op.drop_index('ix_passkey_user_id', table_name='passkey')
    op.drop_table('passkey')
    op.drop_index('ix_login_session_user_id', table_name='login_session')
    op.drop_index('ix_login_session_open', table_name='login_session', postgresql_where=sa.text('ended_at IS NULL'))
    op.drop_table('login_session')
    op.drop_table('linked_identity')
    op.drop_table('erasure')
    op.drop_index('uq_email_change_open', table_name='email_change', postgresql_where=sa.text('done_at IS NULL AND cancelled_at IS NULL'))
    op.drop_index('ix_email_change_user_id', table_name='email_change')
    op.drop_table('email_change')
    op.drop_index('ix_data_export_user_id', table_name='data_export')
    op.drop_index('ix_data_export_expires_at', table_name='data_export', postgresql_where=sa.text("state = 'ready'"))
    op.drop_table('data_export')
    op.drop_index('ix_client_event_visitor_id', table_name='client_event')
    op.drop_index('ix_client_event_user_id', table_name='client_event')
    op.drop_index('ix_client_event_kind', table_name='client_event')
    op.drop_index('ix_client_event_at', table_name='client_event')
    op.drop_table('client_event')
    op.drop_index('ix_terms_of_use_published_at', table_name='terms_of_use', postgresql_where=sa.text('published_at IS NOT NULL'))
    op.drop_table('terms_of_use')
    op.drop_index('ix_mail_consent_email', table_name='mail_consent')
    op.drop_table('mail_consent')
    op.drop_index('ix_audit_entry_user_id', table_name='audit_entry')
    op.drop_index('ix_audit_entry_subject', table_name='audit_entry')
    op.drop_index('ix_audit_entry_at', table_name='audit_entry')
    op.drop_index('ix_audit_entry_actor_id', table_name='audit_entry')
    op.drop_index('ix_audit_entry_action', table_name='audit_entry')
    op.drop_table('audit_entry')
    op.drop_table('ad')
