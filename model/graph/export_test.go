package graph

// NewPlanApart is [NewPlan] with every operation, also those that do what an earlier one has done.
func NewPlanApart(f func() (*Plan, error)) (*Plan, error) {
	testApart = true
	defer func() { testApart = false }()
	return f()
}
